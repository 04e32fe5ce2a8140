import { cutToBytes, utf8Length } from "#core/bytes.ts";
import { MAX_NAME_BYTES } from "#core/names.ts";

/** Longest ending that is kept whole, in UTF-8 bytes; longer ones are part of the stem. */
const MAX_ENDING_BYTES = 32;

/** Stands in the name of every conflict copy. */
export const CONFLICT_MARK = "'s Conflict Copy ";

const COMPOUND_ENDING = /(\.tar\.[a-z0-9]{1,5})$/i;
const COPY =
  /^(?<stem>.*) \((?<device>.+)'s Conflict Copy (?<date>\d{4}-\d{2}-\d{2})(?: \d+)?\)$/su;

/** Characters that some system refuses in names, and those that would break the pattern's look. */
const UNSAFE = /[\p{Cc}/\\:*?"<>|()]/gu;

export type ConflictCopy = {
  /** The name that the copy was made beside. */
  readonly of: string;
  readonly device: string;
  readonly date: string;
};

/** A name's stem and its ending with the dot; a dotfile's only dot begins no ending. */
function splitEnding(name: string): { stem: string; ending: string } {
  const compound = COMPOUND_ENDING.exec(name);
  const dot = compound === null ? name.lastIndexOf(".") : compound.index;
  const ending = dot > 0 ? name.slice(dot) : "";
  if (ending.length < 2 || /\s/u.test(ending) || utf8Length(ending) > MAX_ENDING_BYTES) {
    return { stem: name, ending: "" };
  }
  return { stem: name.slice(0, dot), ending };
}

/** What a conflict copy's name says; null for any other name. */
export function readConflictName(name: string): ConflictCopy | null {
  const { stem, ending } = splitEnding(name);
  const match = COPY.exec(stem);
  const { stem: ofStem, device, date } = match?.groups ?? {};
  if (ofStem === undefined || device === undefined || date === undefined) return null;
  return { of: ofStem + ending, device, date };
}

/**
 * `<stem> (<device>'s Conflict Copy YYYY-MM-DD)<ending>`: the name of what lost its own (SPEC CC1).
 * `attempt` 1 is the plain form, 2 and up are numbered. A copy of a copy does not nest.
 */
export function conflictName(
  name: string,
  copy: { device: string; date: string; attempt: number; folder: boolean },
): string {
  const origin = readConflictName(name)?.of ?? name;
  const { stem, ending } = copy.folder ? { stem: origin, ending: "" } : splitEnding(origin);
  const device = cutToBytes(copy.device.replace(UNSAFE, "-").trim(), 64) || "device";
  const number = copy.attempt > 1 ? ` ${copy.attempt}` : "";
  const tail = ` (${device}'s Conflict Copy ${copy.date}${number})${ending}`;
  return cutToBytes(stem, MAX_NAME_BYTES - utf8Length(tail)) + tail;
}
