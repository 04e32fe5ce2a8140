import * as fs from "node:fs";
import * as inspector from "node:inspector/promises";
import { fileURLToPath } from "node:url";

/** Where in a file: from this character to that one. */
type Span = readonly [from: number, to: number];
/** Pieces of each file that never ran. */
export type Unreached = Record<string, readonly Span[]>;

/** Rooms whose code a sweep should run all of. */
const ROOMS = ["/src/sync/", "/src/server/journal.ts", "/src/server/judge.ts"];

/**
 * Counts which pieces of the engine this thread runs, by the counters of the JavaScript engine
 * itself: nothing in the code has to say that it was there.
 */
export class Reach {
  readonly #session = new inspector.Session();

  async begin(): Promise<void> {
    this.#session.connect();
    await this.#session.post("Profiler.enable");
    await this.#session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
  }

  async unreached(): Promise<Unreached> {
    const { result } = await this.#session.post("Profiler.takePreciseCoverage");
    const unreached: Unreached = {};
    for (const { url, functions } of result) {
      if (!ROOMS.some((room) => url.includes(room))) continue;
      const file = fileURLToPath(url);
      const runs = new Uint8Array(fs.readFileSync(file, "utf8").length).fill(1);
      // Outer pieces come before those in them.
      const pieces = functions.flatMap(({ ranges }) => ranges);
      pieces.sort((a, b) => a.startOffset - b.startOffset || b.endOffset - a.endOffset);
      for (const { startOffset, endOffset, count } of pieces) {
        runs.fill(count > 0 ? 1 : 0, startOffset, endOffset);
      }
      unreached[file] = spansOf(runs);
    }
    return unreached;
  }
}

function spansOf(runs: Uint8Array): Span[] {
  const spans: Span[] = [];
  for (let from = runs.indexOf(0); from !== -1;) {
    const end = runs.indexOf(1, from);
    const to = end === -1 ? runs.length : end;
    spans.push([from, to]);
    from = end === -1 ? -1 : runs.indexOf(0, to);
  }
  return spans;
}

/** What none of several threads ran, a line each: file, line, and how it begins. */
export function neverReached(all: readonly Unreached[]): string[] {
  const lines: string[] = [];
  const files = new Set(all.flatMap((each) => Object.keys(each)));
  for (const file of [...files].sort()) {
    const text = fs.readFileSync(file, "utf8");
    const runs = new Uint8Array(text.length);
    for (const each of all) {
      const own = new Uint8Array(text.length).fill(1);
      for (const [from, to] of each[file] ?? [[0, text.length]]) own.fill(0, from, to);
      own.forEach((ran, at) => (runs[at] = (runs[at] ?? 0) | ran));
    }
    for (const [from, to] of spansOf(runs)) {
      const piece = text.slice(from, to);
      if (!/[a-z]/i.test(piece)) continue;
      const line = text.slice(0, from).split("\n").length;
      const name = file.slice(file.lastIndexOf("/src/") + 1);
      lines.push(`${name}:${line} ${piece.trim().replace(/\s+/g, " ").slice(0, 80)}`);
    }
  }
  return lines;
}
