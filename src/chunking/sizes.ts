import { cutSizes } from "./cut.ts";
import type { CutSizes } from "./cut.ts";

// How large a file's chunks are. Small chunks find more that is alike; large ones cost fewer
// entries. A file that grows and shrinks around a limit would be cut anew each time, and all of it
// be sent again: so it keeps its class until it is a factor 2 beyond the limit.

/** `single`: one chunk; `medium`: 64 KiB, 256 KiB, 1 MiB; `large`: 256 KiB, 1 MiB, 4 MiB. */
export type SizeClass = "single" | "medium" | "large";

const KIB = 1024;
const GIB = 1024 ** 3;

/** Largest file that is one chunk, unless its previous revision was cut. */
const SINGLE_MAX_BYTES = 64 * KIB;
/** Largest file of medium chunks, unless its previous revision had large ones. */
const MEDIUM_MAX_BYTES = GIB;
/** How far beyond a limit a file keeps its class. */
const SLACK = 2;

const MEDIUM = cutSizes(18);
const LARGE = cutSizes(20);

const SIZES: Readonly<Record<SizeClass, CutSizes>> = {
  // What is no longer than the minimum is never cut: no case of its own is needed anywhere.
  single: { ...MEDIUM, minBytes: SINGLE_MAX_BYTES * SLACK },
  medium: MEDIUM,
  large: LARGE,
};

export function sizesOf(sizeClass: SizeClass): CutSizes {
  return SIZES[sizeClass];
}

function classBySize(sizeBytes: number): SizeClass {
  if (sizeBytes <= SINGLE_MAX_BYTES) return "single";
  return sizeBytes <= MEDIUM_MAX_BYTES ? "medium" : "large";
}

/** True while a file of this size may stay in a class that it was in. */
function mayStay(sizeClass: SizeClass, sizeBytes: number): boolean {
  if (sizeClass === "single") return sizeBytes <= SINGLE_MAX_BYTES * SLACK;
  if (sizeClass === "large") return sizeBytes > MEDIUM_MAX_BYTES / SLACK;
  return sizeBytes > SINGLE_MAX_BYTES / SLACK && sizeBytes <= MEDIUM_MAX_BYTES * SLACK;
}

/** The class of a file's next revision; `previous` is null for a file that has none. */
export function nextSizeClass(sizeBytes: number, previous: SizeClass | null): SizeClass {
  if (previous !== null && mayStay(previous, sizeBytes)) return previous;
  return classBySize(sizeBytes);
}

/**
 * The class that a chunk list (its lengths in bytes, in order) was cut in; null when there are too
 * few chunks to tell, and therefore too few to lose. The last chunk says little: the file ends it.
 */
export function sizeClassOf(lengths: readonly number[]): SizeClass | null {
  if (lengths.length === 1 && lengths[0]! <= SINGLE_MAX_BYTES * SLACK) return "single";
  if (lengths.some((length) => length > MEDIUM.maxBytes)) return "large";
  if (lengths.slice(0, -1).some((length) => length <= LARGE.minBytes)) return "medium";
  return null;
}
