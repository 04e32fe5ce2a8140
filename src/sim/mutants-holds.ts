import { mutant, type Mutant } from "./mutation.ts";

const GUARD = "sync/mass-guard.ts";

const HELD_AND_DONE = [
  GUARD,
  "    return released === planned ? held : [...held, ...planned];",
  "    return held;",
] as const;

const JUDGED_WITHOUT_SHARE = [
  "sync/mass.ts",
  "count >= limits.nodes && count >= limits.share * of",
  "count >= limits.nodes && count > of",
] as const;

const APPROVAL_UNTOLD = [
  "sync/send.ts",
  "changes.push(isApproved ? { ...change, approved: true } : change);",
  "changes.push(isApproved ? { ...change } : change);",
] as const;

const ANSWER_FORGOTTEN = [
  "sync/holds.ts",
  "    writeHolds(records, { ...before, holds, answers, [list]: decided });",
  "    writeHolds(records, { ...before, holds, answers });",
] as const;

export const HOLD_MUTANTS: readonly Mutant[] = [
  mutant("held-and-done", "MD3: what is held is sent when it is held first.", HELD_AND_DONE),
  mutant(
    "most-is-not-many",
    "MD1: only more deletions than there are nodes are held.",
    JUDGED_WITHOUT_SHARE,
  ),
  mutant("approval-untold", "MD5: the others do not hear that somebody approved.", APPROVAL_UNTOLD),
  mutant("answer-forgotten", "MD5, MD6: an answer to a hold is not carried out.", ANSWER_FORGOTTEN),
];
