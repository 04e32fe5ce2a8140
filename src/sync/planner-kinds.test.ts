import { suite } from "node:test";
import { play } from "../../test/planner/table.ts";

// A name that changes its kind is another node: whatever the kinds, the first committed keeps it.

suite("a file became a folder", () => {
  play([
    "PL2 | on one side | f=1 | delete f; make f/; make f/n=2 | - | f/, f/n=2 | same",
    "PL12 | and the other edited it | f=1 | delete f; make f/; make f/n=2 | edit f=9 | f/, f/n=2, f~B=9 | f=9, f~A/, f~A/n=2",
    "PL12 | and the other deleted it | f=1 | delete f; make f/; make f/n=2 | delete f | f/, f/n=2 | same",
    "PL12 | and the other moved it | f=1 | delete f; make f/; make f/n=2 | move f g | f/, f/n=2, g=1 | same",
    "PL12 | and the other did the same | f=1 | delete f; make f/; make f/a=1 | delete f; make f/; make f/b=2 | f/, f/a=1, f/b=2 | same",
    "PL12 | and the other made a link of it | f=1 | delete f; make f/; make f/a=1 | delete f; make f->x | f/, f/a=1, f~B->x | f->x, f~A/, f~A/a=1",
    "PL12 | with the file moved into it | f=1 | move f t; make f/; move t f/f | - | f/, f/f=1 | same",
    "PL12 | with the file moved into it, edited by the other | f=1 | move f t; make f/; move t f/f | edit f=2 | f/, f/f=2 | same",
    "PL12 | after it was renamed, and the other did it under the old name | f=1 | move f b | delete f; make f/; make f/n=2 | b=1, f/, f/n=2 | same",
    "PL12 | of a name with an ending | f.txt=1 | delete f.txt; make f.txt/; make f.txt/n=2 | edit f.txt=9 | f.txt/, f.txt/n=2, f~B.txt=9 | f.txt=9, f.txt~A/, f.txt~A/n=2",
  ]);
});

suite("a folder became a file", () => {
  play([
    "PL2 | on one side | d/, d/f=1 | delete d; make d=x | - | d=x | same",
    "PL12 | and the other edited a child | d/, d/f=1, d/g=2 | delete d; make d=x | edit d/f=9 | d=x, d~B/, d~B/f=9 | d/, d/f=9, d~A=x",
    "PL12 | and the other made a child | d/, d/f=1 | delete d; make d=x | make d/n=2 | d=x, d~B/, d~B/n=2 | d/, d/n=2, d~A=x",
    "PL12 | and the other deleted a child | d/, d/f=1, d/g=2 | delete d; make d=x | delete d/f | d=x | same",
    "PL12 | and the other renamed it | d/, d/f=1 | delete d; make d=x | move d e | d=x, e/, e/f=1 | same",
    "PL12 | and the other deleted it | d/, d/f=1 | delete d; make d=x | delete d | d=x | same",
    "PL12 | and the other did the same | d/, d/f=1 | delete d; make d=a | delete d; make d=b | d=a, d~B=b | d=b, d~A=a",
    "PL12 | and the other did the same alike | d/, d/f=1 | delete d; make d=x | delete d; make d=x | d=x | same",
    "PL12 | a child with the name of its folder | d/, d/d=1 | move d/d t; delete d; move t d | - | d=1 | same",
    "PL12 | a child with the name of its folder, edited by the other | d/, d/d=1 | move d/d t; delete d; move t d | edit d/d=2 | d=2 | same",
    "PL12 | a child with the name of its folder, a sibling made by the other | d/, d/d=1 | move d/d t; delete d; move t d | make d/n=2 | d=1, d~B/, d~B/n=2 | d/, d/n=2, d~A=1",
  ]);
});

suite("files, folders and links", () => {
  play([
    "PL2 | a file and a folder swapped names | a=1, b/, b/f=2 | swap a b | - | a/, a/f=2, b=1 | same",
    "PL5 | a file and a folder swapped names, both changed by the other | a=1, b/, b/f=2 | swap a b | edit a=9; edit b/f=8 | a/, a/f=8, b=9 | same",
    "PL2 | a file became a link | f=1 | delete f; make f->x | - | f->x | same",
    "PL12 | a file became a link, and the other edited it | f=1 | delete f; make f->x | edit f=2 | f->x, f~B=2 | f=2, f~A->x",
    "PL12 | a file became a link, and the other deleted it | f=1 | delete f; make f->x | delete f | f->x | same",
    "PL12 | a link became a file, and the other changed it | l->x | delete l; make l=1 | edit l->y | l=1, l~B->y | l->y, l~A=1",
    "PL12 | a link became a file, and the other moved it | l->x | delete l; make l=1 | move l m | l=1, m->x | same",
    "PL12 | a link became a folder, and the other changed it | l->x | delete l; make l/; make l/f=1 | edit l->y | l/, l/f=1, l~B->y | l->y, l~A/, l~A/f=1",
    "PL12 | a folder became a link to where it went | d/, d/f=1 | move d e; make d->e | - | d->e, e/, e/f=1 | same",
    "PL12 | a folder became a link to where it went, a child made by the other | d/, d/f=1 | move d e; make d->e | make d/n=2 | d->e, e/, e/f=1, e/n=2 | same",
    "PL8 | a link in a folder that the other deleted | d/, d/l->x, d/f=1 | edit d/l->y | delete d | d/, d/l->y | same",
    "PL7 | a link in a folder that one renamed and the other deleted | d/, d/l->x | move d e | delete d | e/, e/l->x | same",
  ]);
});
