import { WorldError } from "#core/errors.ts";

// Every errno that leaves this room has become a WorldError: a code that the engine acts on, and
// one sentence that a person can act on.

type Reason = { readonly code: string; readonly because: string; readonly retryable?: boolean };

const ROOM = "make room on this disk";
const LATER = "it is tried again";

const REASONS: Readonly<Record<string, Reason>> = {
  ENOENT: { code: "not-found", because: "there is nothing of that name; look at the folder again" },
  EEXIST: { code: "exists", because: "the name is taken; move what has it out of the way" },
  ENOTDIR: { code: "not-a-folder", because: "what stands there is no folder; look again" },
  ELOOP: { code: "not-a-folder", because: "a symbolic link stands there; links are not followed" },
  ENOTEMPTY: { code: "not-empty", because: "the folder is not empty; empty it first" },
  EACCES: { code: "no-permission", because: "permission is denied; give this account access" },
  EPERM: { code: "no-permission", because: "the system does not permit it; give access to it" },
  EROFS: { code: "no-permission", because: "the disk is mounted read-only; mount it writable" },
  ENOSPC: { code: "no-space", because: `the disk is full; ${ROOM}` },
  EDQUOT: { code: "no-space", because: "your disk quota is used up; free some of it" },
  ENAMETOOLONG: {
    code: "name-too-long",
    because: "the name is too long for this disk; shorten it",
  },
  EILSEQ: { code: "bad-name", because: "this disk cannot hold the name; rename it elsewhere" },
  EINVAL: { code: "bad-name", because: "this disk refuses the name; rename it elsewhere" },
  EXDEV: { code: "other-disk", because: "it lies on another disk; keep the synced folder on one" },
  EISDIR: { code: "not-a-file", because: "a folder stands there; look again" },
  ENXIO: { code: "not-a-file", because: "what stands there is no file; look again" },
  EMLINK: { code: "io", because: "the file has as many names as this disk allows; remove one" },
  EFBIG: { code: "io", because: "the file is too large for this disk; use another file system" },
  ENOTSUP: { code: "unsupported", because: "this disk cannot do that; use another file system" },
  EOPNOTSUPP: { code: "unsupported", because: "this disk cannot do that; use another file system" },
  EMFILE: { code: "busy", because: `too many files are open; ${LATER}`, retryable: true },
  ENFILE: { code: "busy", because: `too many files are open; ${LATER}`, retryable: true },
  ENOMEM: { code: "busy", because: `memory is short; ${LATER}`, retryable: true },
  EBUSY: { code: "busy", because: `another program holds it; ${LATER}`, retryable: true },
  ETXTBSY: { code: "busy", because: `the program is running; ${LATER}`, retryable: true },
  EAGAIN: { code: "busy", because: `another program holds it; ${LATER}`, retryable: true },
  EIO: { code: "io", because: "the disk reports an error; check the disk" },
  ESTALE: { code: "io", because: `the network disk lost it; ${LATER}`, retryable: true },
};

/**
 * A path as it stands in a sentence: quoted, without control characters, its middle cut if long.
 */
export function shownPath(path: string): string {
  if (path === "") return "the synced folder";
  const quoted = JSON.stringify(path);
  return quoted.length <= 300 ? quoted : `${quoted.slice(0, 140)}…${quoted.slice(-140)}`;
}

/** The errno name of what Node threw, or undefined. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/**
 * What Node threw at `doing` (an infinitive: "read") to `path`, as a WorldError. WorldErrors pass
 * unchanged, and so does everything without an errno: that is a bug, not the world.
 */
export function diskError(error: unknown, doing: string, path: string): unknown {
  if (error instanceof WorldError) return error;
  const errno = errnoOf(error);
  if (errno === undefined) return error;
  if (errno === "ERR_INVALID_ARG_VALUE") {
    return new WorldError("bad-name", `Cannot ${doing} ${shownPath(path)}: rename it first.`);
  }
  if (errno.startsWith("ERR_")) return error;
  const reason = REASONS[errno] ?? { code: "io", because: `the system says ${errno}; try again` };
  const message = `Cannot ${doing} ${shownPath(path)}: ${reason.because}.`;
  return new WorldError(reason.code, message, {
    cause: error,
    retryable: reason.retryable ?? false,
  });
}

/** Runs `work` and throws what it throws as `diskError` says. */
export function attempt<T>(doing: string, path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw diskError(error, doing, path);
  }
}
