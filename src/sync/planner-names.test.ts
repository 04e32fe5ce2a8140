import { suite } from "node:test";
import { play } from "../../test/planner/table.ts";

// Names that differ in case or Unicode form only, in a space that takes them for one.

const NFC = "caf\u00e9";
const NFD = "cafe\u0301";

suite("names that differ in case", () => {
  play([
    "PL15 | a file renamed in case only | Readme=1 | move Readme README | - | README=1 | same",
    "PL15 | a folder renamed in case only | d/, d/f=1 | move d D | - | D/, D/f=1 | same",
    "PL15 | renamed in case only by both alike | Readme=1 | move Readme README | move Readme README | README=1 | same",
    "PL15 | renamed in case only by both | Readme=1 | move Readme README | move Readme readme | README=1 | readme=1",
    "PL15 | renamed in case only, edited by the other | Readme=1 | move Readme README | edit Readme=2 | README=2 | same",
    "PL15 | renamed in case only, deleted by the other | Readme=1 | move Readme README | delete Readme | README=1 | same",
    "PL15 | renamed in case only, moved by the other | Readme=1 | move Readme README | move Readme x | README=1 | x=1",
    "PL15 | a folder renamed in case only, a child edited by the other | d/, d/f=1 | move d D | edit d/f=2 | D/, D/f=2 | same",
    "PL15 | a folder renamed in case only, a child made by the other | d/, d/f=1 | move d D | make d/n=2 | D/, D/f=1, D/n=2 | same",
    "PL15 | a folder renamed in case only, deleted by the other | d/, d/f=1 | move d D | delete d | D/, D/f=1 | same",
    "PL15 | made by both | - | make a=1 | make A=2 | a=1, A~B=2 | A=2, a~A=1",
    "PL15 | made by both alike, called as the server calls it | - | make a=1 | make A=1 | a=1 | A=1",
    "PL15 | folders made by both | - | make d/; make d/a=1 | make D/; make D/b=2 | d/, d/a=1, d/b=2 | D/, D/a=1, D/b=2",
    "PL15 | a file and a folder | - | make x=1 | make X/; make X/n=2 | x=1, X~B/, X~B/n=2 | X/, X/n=2, x~A=1",
    "PL15 | moved to a name that the other made in another case | f=1 | move f g | make G=9 | g=1, G~B=9 | G=9, g~A=1",
    "PL15 | two names swapped in different cases | a=1, b=2 | move a t; look; move b A; look; move t B | - | A=2, B=1 | same",
    "PL15 | children of folders made in two cases | - | make d/; make d/f=a | make D/; make D/F=b | d/, d/f=a, d/F~B=b | D/, D/F=b, D/f~A=a",
    "PL15 | deleted, and made again in another case | f=1 | delete f; look; make F=2 | - | F=2 | same",
    "PL15 | deleted, and made again in another case, edited by the other | f=1 | delete f; look; make F=2 | edit f=9 | F=2, f~B=9 | f=9, F~A=2",
  ]);
});

suite("names of two Unicode forms", () => {
  play([
    `PL15 | made by both | - | make ${NFC}=1 | make ${NFD}=2 | ${NFC}=1, ${NFD}~B=2 | ${NFD}=2, ${NFC}~A=1`,
    `PL15 | made by both alike | - | make ${NFC}=1 | make ${NFD}=1 | ${NFC}=1 | ${NFD}=1`,
    `PL15 | renamed from one to the other | ${NFC}=1 | move ${NFC} ${NFD} | - | ${NFD}=1 | same`,
    `PL15 | renamed from one to the other, edited by the other person | ${NFC}=1 | move ${NFC} ${NFD} | edit ${NFC}=2 | ${NFD}=2 | same`,
    `PL15 | folders made by both | - | make ${NFC}/; make ${NFC}/a=1 | make ${NFD}/; make ${NFD}/b=2 | ${NFC}/, ${NFC}/a=1, ${NFC}/b=2 | ${NFD}/, ${NFD}/a=1, ${NFD}/b=2`,
    "PL15 | letters that case folding makes longer | - | make stra\u00dfe=1 | make STRASSE=2 | stra\u00dfe=1, STRASSE~B=2 | STRASSE=2, stra\u00dfe~A=1",
  ]);
  play(
    [
      "PL15 | names that differ in case are two in a space that does not fold | - | make a=1 | make A=2 | A=2, a=1 | same",
      `PL15 | names of two Unicode forms are one in every space | - | make ${NFC}=1 | make ${NFD}=2 | ${NFC}=1, ${NFD}~B=2 | ${NFD}=2, ${NFC}~A=1`,
    ],
    { folding: false },
  );
});
