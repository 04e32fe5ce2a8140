import * as fs from "node:fs";
import { systemClock } from "#platform/clock.ts";
import { earlierEventFile, eventFile, type LoggedEvent } from "./event-log.ts";
import { isMissing } from "./home.ts";

/** How often a followed file is looked at. */
const LOOK_MS = 200;
const MAX_READ_BYTES = 4 * 1024 * 1024;

/** How far a file of events was read; the inode tells when another one took its place. */
export type EventPosition = { readonly inode: number; readonly offset: number };

function parseLines(text: string): LoggedEvent[] {
  return text.split("\n").flatMap((line): LoggedEvent[] => {
    try {
      return line === "" ? [] : [JSON.parse(line) as LoggedEvent];
    } catch {
      // A line that a crash cut short.
      return [];
    }
  });
}

function readText(path: string): { readonly text: string; readonly inode: number } {
  try {
    const text = fs.readFileSync(path, "utf8");
    return { text, inode: fs.statSync(path).ino };
  } catch (error) {
    if (isMissing(error)) return { text: "", inode: 0 };
    throw error;
  }
}

/** The latest events, oldest first, and where to go on from. */
export function lastEvents(
  state: string,
  count: number,
): { readonly events: LoggedEvent[]; readonly position: EventPosition } {
  const { text, inode } = readText(eventFile(state));
  let events = parseLines(text);
  if (events.length < count) {
    events = [...parseLines(readText(earlierEventFile(state)).text), ...events];
  }
  const position = { inode, offset: Buffer.byteLength(text) };
  return { events: count === 0 ? [] : events.slice(-count), position };
}

/** Shows each event that is appended from then on, until the signal aborts. */
export async function followEvents(
  state: string,
  from: EventPosition,
  show: (event: LoggedEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  let position = from;
  while (!signal.aborted) {
    position = readOn(state, position, show);
    await systemClock.sleep(LOOK_MS, signal).catch(() => undefined);
  }
}

function readOn(
  state: string,
  position: EventPosition,
  show: (event: LoggedEvent) => void,
): EventPosition {
  const stat = fs.statSync(eventFile(state), { throwIfNoEntry: false });
  if (stat === undefined) return { inode: 0, offset: 0 };
  let { offset } = position;
  if (stat.ino !== position.inode || stat.size < offset) offset = 0;
  const file = fs.openSync(eventFile(state), "r");
  try {
    while (offset < stat.size) {
      const piece = Buffer.alloc(Math.min(MAX_READ_BYTES, stat.size - offset));
      const length = fs.readSync(file, piece, 0, piece.length, offset);
      // The rest of a line that is being written comes with the next look.
      const end = piece.subarray(0, length).lastIndexOf(0x0a) + 1;
      if (end === 0) break;
      for (const event of parseLines(piece.toString("utf8", 0, end))) show(event);
      offset += end;
    }
  } finally {
    fs.closeSync(file);
  }
  return { inode: stat.ino, offset };
}
