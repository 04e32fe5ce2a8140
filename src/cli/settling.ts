import type { Status } from "#sync/status.ts";
import { waitsForPerson } from "#sync/waiting.ts";
import { EXIT, type ExitCode } from "./exit.ts";
import { counted, shown } from "./output.ts";

/** What a settled engine's status means for somebody who waits for it. */
export type Verdict =
  | { readonly kind: "in-sync" }
  | { readonly kind: "not-yet" }
  | { readonly kind: "stuck"; readonly reason: string; readonly exitCode: ExitCode };

export function verdictOf(status: Status): Verdict {
  const { state, reason, problems, pending } = status;
  if (state === "in-sync" && !problems.some(waitsForPerson)) return { kind: "in-sync" };
  if (state === "halted" || state === "held") {
    const why = reason ?? "Deletions are held back: look at lockstep status.";
    return { kind: "stuck", reason: why, exitCode: EXIT.needsPerson };
  }
  const [first] = problems;
  // A step that has failed waits for its turn again: what is left are the paths with problems.
  if (state === "offline" || first === undefined) return { kind: "not-yet" };
  if (pending.up + pending.down > problems.length) return { kind: "not-yet" };
  const paths = counted(problems.length, "path");
  const why = `${paths} cannot be synced; the first is ${shown(first.path)}: ${first.message}`;
  return { kind: "stuck", reason: why, exitCode: EXIT.failed };
}
