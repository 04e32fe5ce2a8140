import type { Mutant } from "./mutation.ts";
import { COLLECT_MUTANTS } from "./mutants-collect.ts";
import { COMMIT_MUTANTS } from "./mutants-commit.ts";
import { DISK_MUTANTS } from "./mutants-disk.ts";
import { HOLD_MUTANTS } from "./mutants-holds.ts";
import { LOOK_MUTANTS } from "./mutants-look.ts";
import { SEALED_MUTANTS } from "./mutants-sealed.ts";
import { PLAN_MUTANTS } from "./mutants-plan.ts";

/** Every planted bug; each must be found, or the simulator is blind to its kind. */
export const MUTANTS: readonly Mutant[] = [
  ...PLAN_MUTANTS,
  ...LOOK_MUTANTS,
  ...DISK_MUTANTS,
  ...COMMIT_MUTANTS,
  ...HOLD_MUTANTS,
  ...SEALED_MUTANTS,
  ...COLLECT_MUTANTS,
];

/** Those of these names, or all; an unknown name is thrown. */
export function mutantsNamed(names: readonly string[]): readonly Mutant[] {
  if (names.length === 0) return MUTANTS;
  return names.map((name) => {
    const found = MUTANTS.find((each) => each.name === name);
    if (found === undefined) throw new RangeError(`There is no mutant ${name}.`);
    return found;
  });
}
