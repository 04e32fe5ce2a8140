import { WorldError } from "#core/errors.ts";

/** What a script can tell from `$?`; every command's `--help` lists those that it uses. */
export const EXIT = {
  done: 0,
  failed: 1,
  wrongUsage: 2,
  /** Not in sync, and no waiting heals it: a person has to look (held, halted). */
  needsPerson: 3,
  timedOut: 4,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Ends a command: one sentence for stderr, and the process's exit code. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  readonly exitCode: ExitCode;

  constructor(message: string, exitCode: ExitCode = EXIT.failed, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.exitCode = exitCode;
  }
}

export function wrongUsage(message: string): CommandError {
  return new CommandError(message, EXIT.wrongUsage);
}

/** What stops an engine until somebody has done something about it. */
const PERSON_NEEDED = new Set([
  "root-gone",
  "journal-broken",
  "journal-forked",
  "journal-went-back",
  "server-restored",
  "device-unknown",
  "signature-bad",
  "epoch-unknown",
  "signed-out",
  "forbidden",
  "database-damaged",
  "database-newer",
]);

export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof CommandError) return error.exitCode;
  if (!(error instanceof WorldError)) return EXIT.failed;
  if (error.code === "bad-config") return EXIT.wrongUsage;
  return PERSON_NEEDED.has(error.code) ? EXIT.needsPerson : EXIT.failed;
}
