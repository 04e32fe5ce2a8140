/**
 * The world failed: a disk, a network, a peer. `code` is stable and lower-kebab-case, `message` is
 * one sentence that names the thing, the value and the next step; `retryable` says whether the same
 * call may succeed later without anybody changing anything.
 */
export class WorldError extends Error {
  override readonly name = "WorldError";
  readonly code: string;
  readonly retryable: boolean;

  constructor(code: string, message: string, more: { retryable?: boolean; cause?: unknown } = {}) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.code = code;
    this.retryable = more.retryable ?? false;
  }
}

/** The stable code of anything that was thrown: a WorldError's own, else `unexpected`. */
export function codeOf(error: unknown): string {
  return error instanceof WorldError ? error.code : "unexpected";
}

/** One sentence about anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
