import { suite } from "node:test";
import { play } from "../../test/planner/table.ts";

// The cells of "who wins" for folders, and for what is in them.

suite("folders that one person changed", () => {
  play([
    "PL2 | made, with what is in it | - | make d/; make d/s/; make d/s/f=1 | - | d/, d/s/, d/s/f=1 | same",
    "PL2 | renamed | d/, d/f=1, d/s/, d/s/g=2 | move d e | - | e/, e/f=1, e/s/, e/s/g=2 | same",
    "PL2 | moved into another | d/, d/f=1, e/ | move d e/d | - | e/, e/d/, e/d/f=1 | same",
    "PL2 | deleted, with what is in it | d/, d/f=1, d/s/, d/s/g=2 | delete d | - | - | same",
    "PL2 | deleted and made again | d/, d/f=1 | delete d; look; make d/; make d/g=2 | - | d/, d/g=2 | same",
    "EX5 | deleted, and made again after that was sent | d/, d/f=1, d/s/ | delete d; sync; make d/; make d/g=2 | - | d/, d/g=2 | same",
    "EX5 | deleted and made again, and something made in it by the other | d/, d/f=1 | delete d; sync; make d/; make d/g=2 | make d/n=3 | d/, d/g=2, d/n=3 | any",
    "EX5 | deleted and made again, and moved by the other | d/, d/f=1 | delete d; sync; make d/; make d/g=2 | move d e | d/, d/g=2, e/, e/f=1 | any",
    "PL2 | deleted but for a child, which was moved out first | d/, d/f=1, d/g=2 | move d/f f; delete d | - | f=1 | same",
    "PL2 | swapped | a/, a/f=1, b/, b/g=2 | swap a b | - | a/, a/g=2, b/, b/f=1 | same",
    "PL2 | in a ring | a/, a/f=1, b/, c/ | rotate a b c | - | a/, b/, b/f=1, c/ | same",
    "PL2 | turned inside out | a/, a/b/, a/f=1, a/b/g=2 | move a/b b; move a b/a | - | b/, b/g=2, b/a/, b/a/f=1 | same",
    "PL2 | replaced by another folder | a/, a/f=1, b/, b/g=2 | delete a; move b a | - | a/, a/g=2 | same",
    "PL2 | a chain | a/, a/f=1, b/, b/g=2 | move b c; move a b | - | b/, b/f=1, c/, c/g=2 | same",
  ]);
});

suite("folders that both made", () => {
  play([
    "PL14 | empty | - | make d/ | make d/ | d/ | same",
    "PL14 | with different children | - | make d/; make d/a=1 | make d/; make d/b=2 | d/, d/a=1, d/b=2 | same",
    "PL14 | with equal children | - | make d/; make d/s/; make d/s/a=1 | make d/; make d/s/; make d/s/a=1 | d/, d/s/, d/s/a=1 | same",
    "PL14 | with children of one name | - | make d/; make d/f=a | make d/; make d/f=b | d/, d/f=a, d/f~B=b | d/, d/f=b, d/f~A=a",
    "PL14 | and moved something into it | x=1 | make d/; move x d/x | make d/; make d/y=2 | d/, d/x=1, d/y=2 | same",
    "PL14 | one of them by renaming another | e/, e/f=1 | move e d | make d/; make d/g=2 | d/, d/f=1, d~B/, d~B/g=2 | d/, d/g=2, d~A/, d~A/f=1",
    "PL14 | both by renaming others | e/, e/f=1, c/, c/g=2 | move e d | move c d | d/, d/f=1, d~B/, d~B/g=2 | d/, d/g=2, d~A/, d~A/f=1",
    "PL14 | after both deleted the old one | d/, d/f=1 | delete d; look; make d/; make d/a=2 | delete d; look; make d/; make d/b=3 | d/, d/a=2, d/b=3 | same",
  ]);
});

suite("folders that were renamed", () => {
  play([
    "PL1 | by both alike | d/, d/f=1 | move d e | move d e | e/, e/f=1 | same",
    "PL6 | by both | d/, d/f=1 | move d f | move d e | f/, f/f=1 | e/, e/f=1",
    "PL5 | and a child edited by the other | d/, d/f=1 | move d e | edit d/f=2 | e/, e/f=2 | same",
    "PL5 | and a child made by the other | d/, d/f=1 | move d e | make d/n=2 | e/, e/f=1, e/n=2 | same",
    "PL5 | and a child deleted by the other | d/, d/f=1, d/g=2 | move d e | delete d/f | e/, e/g=2 | same",
    "PL5 | and a child renamed by the other | d/, d/f=1 | move d e | move d/f d/g | e/, e/g=1 | same",
    "PL5 | and a child moved out by the other | d/, d/f=1 | move d e | move d/f f | e/, f=1 | same",
    "PL5 | and something moved in by the other | d/, x=1 | move d e | move x d/x | e/, e/x=1 | same",
    "PL5 | and the folder in it, by the other | a/, a/b/, a/b/f=1 | move a x | move a/b a/y | x/, x/y/, x/y/f=1 | same",
    "PL5 | and the folder in it moved out by the other | a/, a/b/, a/b/f=1 | move a x | move a/b b | x/, b/, b/f=1 | same",
    "PL5 | with a child moved out, which the other edited | d/, d/f=1 | move d e; move e/f f | edit d/f=2 | e/, f=2 | same",
    "PL5 | with a child edited, which the other moved out | d/, d/f=1 | move d e; edit e/f=2 | move d/f f | e/, f=2 | same",
    "PL7 | and deleted by the other | d/, d/f=1, d/s/, d/s/g=2 | move d e | delete d | e/, e/f=1, e/s/, e/s/g=2 | same",
    "PL7 | and deleted by the other, who had moved a child out | d/, d/f=1, d/g=2 | move d e | move d/f f; delete d | e/, e/g=2, f=1 | same",
    "PL7 | with a child deleted, and deleted whole by the other | d/, d/f=1, d/g=2 | move d e; delete e/f | delete d | e/, e/g=2 | same",
    "PL7 | and deleted and made again by the other | d/, d/f=1 | move d e | delete d; look; make d/; make d/n=2 | d/, d/n=2, e/, e/f=1 | same",
    "PL6 | one a to b, the other b to c | a/, a/f=1, b/, b/g=2 | delete b; move a b | move b c | b/, b/f=1, c/, c/g=2 | same",
    "PL14 | to a name that the other gave to a file | d/, d/f=1 | move d x | make x=9 | x/, x/f=1, x~B=9 | x=9, x~A/, x~A/f=1",
    "PL5 | swapped, a child edited by the other | a/, a/f=1, b/, b/g=2 | swap a b | edit a/f=9 | a/, a/g=2, b/, b/f=9 | same",
    "PL5 | in a ring, a child made by the other | a/, b/, c/ | rotate a b c | make a/n=1 | a/, b/, b/n=1, c/ | same",
    "PL5 | turned inside out, a child edited by the other | a/, a/b/, a/f=1 | move a/b b; move a b/a | edit a/f=2 | b/, b/a/, b/a/f=2 | same",
    "PL5 | turned inside out, a child made in each by the other | a/, a/b/ | move a/b b; move a b/a | make a/m=1; make a/b/n=2 | b/, b/a/, b/a/m=1, b/n=2 | same",
    "PL6 | turned inside out, renamed by the other | a/, a/b/ | move a/b b; move a b/a | move a c | b/, b/a/ | b/, c/",
    "PL1 | turned inside out by both | a/, a/b/, a/f=1 | move a/b b; move a b/a | move a/b b; move a b/a | b/, b/a/, b/a/f=1 | same",
    "PL5 | replaced by another folder, a child made in it by the other | d/, d/f=1, e/, e/g=2 | delete d; move e d | make d/n=3 | d/, d/g=2, d~B/, d~B/n=3 | d/, d/n=3, d~A/, d~A/g=2",
  ]);
});

suite("folders that were deleted", () => {
  play([
    "PL1 | by both | d/, d/f=1 | delete d | delete d | - | same",
    "PL1 | in part, and whole by the other | d/, d/f=1, d/g=2 | delete d/f | delete d | - | same",
    "PL8 | a child made by the other | d/, d/f=1, d/g=2 | delete d | make d/n=3 | d/, d/n=3 | same",
    "PL8 | a child edited by the other | d/, d/f=1, d/g=2 | delete d | edit d/f=9 | d/, d/f=9 | same",
    "PL8 | a child renamed by the other | d/, d/f=1, d/g=2 | delete d | move d/f d/h | d/, d/h=1 | same",
    "PL8 | a child moved out by the other | d/, d/f=1, d/g=2 | delete d | move d/f f | f=1 | same",
    "PL8 | a file moved in by the other | d/, d/f=1, x=7 | delete d | move x d/x | d/, d/x=7 | same",
    "PL8 | a folder moved in by the other | d/, d/f=1, x/, x/y=7 | delete d | move x d/x | d/, d/x/, d/x/y=7 | same",
    "PL8 | a folder made in it by the other | d/, d/f=1 | delete d | make d/n/ | d/, d/n/ | same",
    "PL8 | the inner one renamed by the other | a/, a/b/, a/b/f=1, a/g=2 | delete a | move a/b a/c | a/, a/c/, a/c/f=1 | same",
    "PL8 | the inner one moved out by the other | a/, a/b/, a/b/f=1, a/g=2 | delete a | move a/b c | c/, c/f=1 | same",
    "PL8 | something made deep in it by the other | a/, a/b/, a/b/c/, a/g=2 | delete a | make a/b/c/n=1 | a/, a/b/, a/b/c/, a/b/c/n=1 | same",
    "PL8 | something edited deep in it by the other | a/, a/b/, a/b/c/, a/b/c/f=1, a/g=2 | delete a | edit a/b/c/f=2 | a/, a/b/, a/b/c/, a/b/c/f=2 | same",
    "PL8 | and made again in one look, deleted by the other | d/, d/f=1 | delete d; make d/ | delete d | - | d/",
    "PL8 | and made again in one look with a child, deleted by the other | d/, d/f=1 | delete d; make d/; make d/n=2 | delete d | d/, d/n=2 | same",
    "PL8 | and made again in one look, a child edited by the other | d/, d/f=1 | delete d; make d/; make d/n=2 | edit d/f=9 | d/, d/f=9, d/n=2 | same",
    "PL8 | and made again, a child edited by the other | d/, d/f=1 | delete d; look; make d/; make d/n=2 | edit d/f=9 | d/, d/f=9, d/n=2 | same",
    "PL8 | and made again, a child of the same name edited by the other | d/, d/f=1 | delete d; look; make d/; make d/f=a | edit d/f=b | d/, d/f=a, d/f~B=b | d/, d/f=b, d/f~A=a",
    "PL8 | a child moved into another one that was deleted, too | d/, e/, x=1 | delete d; delete e | move x d/x; move d/x e/x | e/, e/x=1 | same",
    "PL8 | the other moves one deleted folder into another | d/, d/f=1, e/, e/g=2 | delete d; delete e | move d e/d | e/, e/d/, e/d/f=1 | same",
    "PL8 | one deletes the outer, the other makes a child in a folder that he renamed | a/, a/b/, a/b/f=1 | delete a | move a/b a/c; make a/c/n=2 | a/, a/c/, a/c/f=1, a/c/n=2 | same",
    "PL7 | a child deleted, and the outer one then moved below what was deleted, by the other | c/, c/f=1, c/b/, c/b/x=2 | delete c/b; delete c/f | move c/b b; move c b/c | b/, b/c/, b/x=2 | same",
    "PL8 | something moved in and its old folder deleted by the other | d/, d/f=1, e/, e/x=2 | delete d | move e/x d/x; delete e | d/, d/x=2 | same",
  ]);
});

suite("moves that close a ring", () => {
  play([
    "PL13 | a into b, b into a | a/, b/ | move a b/a | move b a/b | b/, b/a/ | a/, a/b/",
    "PL13 | deep down | a/, a/x/, b/, b/y/ | move a b/y/a | move b a/x/b | b/, b/y/, b/y/a/, b/y/a/x/ | a/, a/x/, a/x/b/, a/x/b/y/",
    "PL13 | with files in both | a/, a/f=1, b/, b/g=2 | move a b/a | move b a/b | b/, b/g=2, b/a/, b/a/f=1 | a/, a/f=1, a/b/, a/b/g=2",
    "PL13 | with edits in both | a/, a/f=1, b/, b/g=2 | move a b/a; edit b/g=3 | move b a/b; edit a/f=4 | b/, b/g=3, b/a/, b/a/f=4 | a/, a/f=4, a/b/, a/b/g=3",
    "PL13 | of three | a/, b/, c/ | move a b/a | move b c/b; move c a/c | any | a/, a/c/, a/c/b/",
    "PL13 | into a folder that is then deleted | a/, b/, c/ | move a b/a | move b a/b; delete c | b/, b/a/ | a/, a/b/",
    "PL13 | out of a folder that was deleted | c/, c/i/, a/ | move c/i a/i; delete c | move a c/i/a | a/, a/i/ | c/, c/i/, c/i/a/",
  ]);
});
