import { suite } from "node:test";
import { play } from "../../test/planner/table.ts";

// The cells of "who wins" for files. test/planner/ has the language.

suite("files that one person changed", () => {
  play([
    "PL1 | nothing was done | d/, d/f=1 | - | - | d/, d/f=1 | same",
    "PL2 | made | - | make f=1 | - | f=1 | same",
    "PL2 | edited | f=1 | edit f=2 | - | f=2 | same",
    "PL2 | saved by renaming over it | f=1 | save f=2 | - | f=2 | same",
    "PL2 | moved | f=1, d/ | move f d/g | - | d/, d/g=1 | same",
    "PL2 | moved and edited | f=1 | move f g; edit g=2 | - | g=2 | same",
    "PL2 | deleted | f=1 | delete f | - | - | same",
    "PL2 | deleted and made again | f=1 | delete f; look; make f=2 | - | f=2 | same",
    "PL2 | copied | f=1 | copy f g | - | f=1, g=1 | same",
    "PL2 | moved over another | a=1, b=2 | over b a | - | a=2 | same",
    "PL2 | moved away and made again | a=1 | move a b; make a=2 | - | a=2, b=1 | same",
    "PL2 | moved away and made again, step by step | a=1 | move a b; look; make a=2 | - | a=2, b=1 | same",
    "PL11 | made executable | f=1 | edit f=1+ | - | f=1+ | same",
  ]);
});

suite("files that were edited", () => {
  play([
    "PL1 | by both alike | f=1 | edit f=2 | edit f=2 | f=2 | same",
    "PL1 | by both alike, saved in another way | f=1 | edit f=2 | save f=2 | f=2 | same",
    "PL3 | by both | f.txt=1 | edit f.txt=a | edit f.txt=b | f.txt=a, f~B.txt=b | f.txt=b, f~A.txt=a",
    "PL3 | by both, saved by renaming | f=1 | save f=a | save f=b | f=a, f~B=b | f=b, f~A=a",
    "PL3 | saved again with the same bytes, and edited | f=1 | save f=1 | edit f=b | f=b | f=b, f~A=1",
    "PL5 | and moved by the other | f=1 | edit f=2 | move f g | g=2 | same",
    "PL4 | and deleted by the other | f=1 | edit f=2 | delete f | f=2 | same",
    "PL4 | saved again with the same bytes, and deleted by the other | f=1 | save f=1 | delete f | - | f=1",
    "PL3 | by both, one moved it too | f=1 | move f g; edit g=a | edit f=b | g=a, f=b | same",
    "PL5 | and moved by one, moved by the other | f=1 | move f g; edit g=2 | move f h | g=2 | h=2",
    "PL4 | and moved by one, deleted by the other | f=1 | move f g; edit g=2 | delete f | g=2 | same",
    "PL3 | and moved by both | f=1 | move f g; edit g=a | move f h; edit h=b | g=a, h=b | same",
    "PL3 | and moved to one place by both | f=1 | move f g; edit g=a | move f g; edit g=b | g=a, g~B=b | g=b, g~A=a",
    "PL11 | and made executable by the other | f=1 | edit f=2 | edit f=1+ | f=2+ | same",
    "PL11 | by both, and made executable by one | f=1 | edit f=a+ | edit f=b | f=a+, f~B=b | f=b, f~A=a+",
    "PL11 | and no longer executable by the other | f=1+ | edit f=2+ | edit f=1 | f=2 | same",
    "PL11 | nothing else than the bit, and moved by the other | f=1 | edit f=1+ | move f g | g=1+ | same",
    "PL4 | nothing else than the bit, and deleted by the other | f=1 | edit f=1+ | delete f | f=1+ | same",
    "PL2 | links that one changed | l->a | edit l->b | - | l->b | same",
    "PL1 | links, by both alike | l->a | edit l->b | edit l->b | l->b | same",
    "PL3 | links, by both | l->x | edit l->a | edit l->b | l->a, l~B->b | l->b, l~A->a",
    "PL5 | links, and moved by the other | l->x | edit l->a | move l m | m->a | same",
    "PL4 | links, and deleted by the other | l->x | edit l->a | delete l | l->a | same",
  ]);
});

suite("files that were moved", () => {
  play([
    "PL1 | by both alike | f=1 | move f g | move f g | g=1 | same",
    "PL6 | by both | f=1 | move f g | move f h | g=1 | h=1",
    "PL6 | by both, into different folders | d/, e/, f=1 | move f d/f | move f e/f | d/, d/f=1, e/ | d/, e/, e/f=1",
    "PL4 | and deleted by the other | f=1 | move f g | delete f | g=1 | same",
    "PL4 | links, and deleted by the other | l->x | move l m | delete l | m->x | same",
    "PL6 | links, by both | l->x | move l m | move l n | m->x | n->x",
    "PL14 | to a name that the other gave to a new file | f=1 | move f g | make g=9 | g=1, g~B=9 | g=9, g~A=1",
    "PL14 | to a name that the other gave to an equal new file | f=1 | move f g | make g=1 | g=1, g~B=1 | g=1, g~A=1",
    "PL14 | to a name that the other moved another one to | f=1, g=2 | move f h | move g h | h=1, h~B=2 | h=2, h~A=1",
    "PL14 | to a name that the other gives up | f=1, g=2 | delete g; look; move f g | move g h | g=1, h=2 | same",
    "PL14 | over one that the other left alone | a=1, b=2 | over b a | - | a=2 | same",
    "PL3 | over one that the other edited | a=1, b=2 | over b a | edit a=9 | a=2, a~B=9 | a=9, a~A=2",
    "PL4 | over one that the other deleted | a=1, b=2 | over b a | delete a | a=2 | same",
    "PL5 | over one that the other moved | a=1, b=2 | over b a | move a c | c=2 | same",
    "PL4 | over another, and edited by the other | a=1, b=2 | over b a | edit b=9 | a=2, b=9 | same",
    "PL4 | over another, and moved by the other | a=1, b=2 | over a b | move b c | c=1 | same",
    "PL4 | over another, and deleted by the other | a=1, b=2 | over b a | delete b | a=2 | same",
    "PL4 | over another, which the other moved over it | a=1, b=2 | over b a | over a b | a=2, b=1 | same",
    "PL14 | away and made again, edited by the other | a=1 | move a b; look; make a=new | edit a=9 | a=new, b=9 | same",
    "PL3 | away and made again in one look, edited by the other | a=1 | move a b; make a=new | edit a=9 | a=new, a~B=9, b=1 | a=9, a~A=new, b=1",
    "PL14 | away and made again, deleted by the other | a=1 | move a b; look; make a=new | delete a | a=new, b=1 | same",
    "PL14 | away and made again, by both | a=1 | move a b; look; make a=x | move a c; look; make a=y | a=x, a~B=y, b=1 | a=y, a~A=x, c=1",
  ]);
});

suite("files that were deleted", () => {
  play([
    "PL1 | by both | f=1 | delete f | delete f | - | same",
    "PL4 | and edited by the other | f=1 | delete f | save f=2 | f=2 | same",
    "PL4 | and moved by the other | f=1 | delete f | move f g | g=1 | same",
    "PL14 | and made again, edited by the other | f=1 | delete f; look; make f=a | edit f=b | f=a, f~B=b | f=b, f~A=a",
    "PL14 | and made again, deleted by the other | f=1 | delete f; look; make f=a | delete f | f=a | same",
    "PL14 | and made again, by both | f=1 | delete f; look; make f=a | delete f; look; make f=b | f=a, f~B=b | f=b, f~A=a",
    "PL14 | and made again alike, by both | f=1 | delete f; look; make f=2 | delete f; look; make f=2 | f=2 | same",
    "SC1 | and made again, moved by the other | f=1 | delete f; look; make f=a | move f g | g=a | same",
  ]);
});

suite("files that were made", () => {
  play([
    "PL14 | by both alike | - | make f=1 | make f=1 | f=1 | same",
    "PL14 | by both | - | make f.txt=a | make f.txt=b | f.txt=a, f~B.txt=b | f.txt=b, f~A.txt=a",
    "PL14 | by both alike, one executable | - | make f=1 | make f=1+ | f=1 | f=1+",
    "PL14 | links, by both alike | - | make l->x | make l->x | l->x | same",
    "PL14 | links, by both | - | make l->a | make l->b | l->a, l~B->b | l->b, l~A->a",
    "PL12 | by one, a link by the other | - | make x=1 | make x->t | x=1, x~B->t | x->t, x~A=1",
    "PL12 | by one, a folder by the other | - | make x=1 | make x/; make x/n=2 | x=1, x~B/, x~B/n=2 | x/, x/n=2, x~A=1",
    "PL14 | where the other has a conflict copy already | f=1, f~A=0 | edit f=a | edit f=b | f=a, f~A=0, f~B=b | f=b, f~A=0, f~A2=a",
    "PL2 | in a folder that the other renamed | d/, d/f=1 | make d/n=2 | move d e | e/, e/f=1, e/n=2 | same",
  ]);
});

suite("names that change hands", () => {
  play([
    "PL2 | two files swapped | a=1, b=2 | swap a b | - | a=2, b=1 | same",
    "PL2 | two files swapped, step by step | a=1, b=2 | move a t; look; move b a; look; move t b | - | a=2, b=1 | same",
    "PL1 | two files swapped by both | a=1, b=2 | swap a b | swap a b | a=2, b=1 | same",
    "PL3 | two files swapped, one edited by the other | a=1, b=2 | swap a b | edit a=9 | a=2, a~B=9, b=1 | a=9, a~A=2, b=1",
    "PL5 | two files swapped step by step, one edited by the other | a=1, b=2 | move a t; look; move b a; look; move t b | edit a=9 | a=2, b=9 | same",
    "PL4 | two files swapped, one deleted by the other | a=1, b=2 | swap a b | delete a | a=2, b=1 | same",
    "PL5 | two files swapped, one moved by the other | a=1, b=2 | swap a b | move a c | b=1, c=2 | same",
    "PL2 | three files in a ring | a=1, b=2, c=3 | rotate a b c | - | a=3, b=1, c=2 | same",
    "PL2 | three files in a ring, step by step | a=1, b=2, c=3 | move c t; look; move b c; look; move a b; look; move t a | - | a=3, b=1, c=2 | same",
    "PL5 | three files in a ring step by step, one edited by the other | a=1, b=2, c=3 | move c t; look; move b c; look; move a b; look; move t a | edit a=9 | a=3, b=9, c=2 | same",
    "PL6 | two rings the other way round, step by step | a=1, b=2, c=3 | move c t; look; move b c; look; move a b; look; move t a | move a t; look; move b a; look; move c b; look; move t c | a=3, b=1, c=2 | a=2, b=3, c=1",
    "PL2 | a chain | a=1, b=2 | move b c; look; move a b | - | b=1, c=2 | same",
    "PL5 | a chain, the first edited by the other | a=1, b=2 | move b c; look; move a b | edit a=9 | b=9, c=2 | same",
  ]);
});

suite("what was changed and changed back", () => {
  play([
    "PL18 | edited, and by the other | f=1 | edit f=2; sync; edit f=1 | edit f=b | f=1, f~B=b | same",
    "PL18 | edited, and by the other twice | f=1 | edit f=2; sync; edit f=1 | edit f=2; edit f=b | f=1, f~B=b | same",
    "PL18 | edited by both to the same | f=1 | edit f=2; sync; edit f=1; sync; edit f=2 | edit f=2 | f=2 | f=2, f~B=2",
    "PL18 | edited, and saved with these bytes by the other | f=1 | edit f=2; sync; edit f=1 | save f=1 | f=1 | f=1, f~B=1",
    "PL18 | edited, and made executable by the other | f=1 | edit f=2; sync; edit f=1 | edit f=1+ | f=1+ | same",
    "PL18 | edited, and moved by the other | f=1 | edit f=2; sync; edit f=1 | move f g | g=1 | same",
    "PL18 | edited, and deleted by the other | f=1 | edit f=2; sync; edit f=1 | delete f | f=1 | same",
    "PL18 | links, and by the other | l->a | edit l->b; sync; edit l->a | edit l->c | l->a, l~B->c | same",
    "PL18 | made executable, and edited by the other | f=1 | edit f=1+; sync; edit f=1 | edit f=2 | f=2 | same",
    "PL18 | made executable, and deleted by the other | f=1 | edit f=1+; sync; edit f=1 | delete f | - | f=1",
    "PL18 | moved, and by the other | f=1 | move f g; sync; move g f | move f h | f=1 | same",
    "PL18 | moved, and edited by the other | f=1 | move f g; sync; move g f | edit f=2 | f=2 | same",
    "PL18 | moved, and deleted by the other | f=1 | move f g; sync; move g f | delete f | f=1 | same",
    "PL18 | a folder moved, and deleted by the other | d/, d/f=1 | move d e; sync; move e d | delete d | d/, d/f=1 | same",
    "PL18 | a folder moved, and by the other | d/, d/f=1 | move d e; sync; move e d | move d g | d/, d/f=1 | same",
    "PL18 | a folder moved, and something made in it | d/ | move d e; sync; move e d | make d/n=1 | d/, d/n=1 | same",
  ]);
});
