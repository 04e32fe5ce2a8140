import * as fs from "node:fs";
import { join } from "node:path";
import { messageOf } from "#core/errors.ts";
import type { Log } from "#core/world.ts";
import { readConflictName } from "#sync/conflict.ts";
import { counted } from "./output.ts";
import type { EngineEvent, Tell } from "#sync/events.ts";

/** One line of `events.jsonl`: what happened to a folder, for people. Paths are relative to it. */
export type LoggedEvent = {
  /** ISO 8601, in UTC. */
  readonly time: string;
  readonly event:
    | "created"
    | "changed"
    | "moved"
    | "deleted"
    | "conflict"
    | "problem"
    | "held"
    | "approved"
    | "rejected"
    | "united"
    | "started"
    | "stopped"
    | "halted";
  readonly path?: string;
  /** Where a moved thing or a conflict copy came from. */
  readonly from?: string;
  /** On which side the change was made. */
  readonly where?: "here" | "elsewhere";
  readonly node?: string;
  readonly message?: string;
};

/** Events are written together: a first sync tells a hundred thousand. */
const FLUSH_MS = 100;
const MAX_FILE_BYTES = 16 * 1024 * 1024;
/** Places of conflict copies that nothing has come to yet: more are not kept in mind. */
const MAX_VACATED = 1_000;

export function eventFile(state: string): string {
  return join(state, "events.jsonl");
}

/** The events before those of `eventFile`. */
export function earlierEventFile(state: string): string {
  return join(state, "events.before.jsonl");
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** What is worth a line; null for an event that another one tells of already. */
export function loggedEvent(event: EngineEvent, time: string): LoggedEvent | null {
  if (event.kind === "problem") {
    return { time, event: "problem", path: event.path, message: event.message };
  }
  if (event.kind === "united") {
    const message = `${event.message} Both sides are united, and nothing is deleted.`;
    return { time, event: "united", message };
  }
  if ("direction" in event) {
    const { kind, id, direction, deletes } = event;
    const where = direction === "up" ? "here" : "elsewhere";
    return { time, event: kind, where, message: `${counted(deletes, "deletion")}, hold ${id}` };
  }
  const { kind, path, where, node } = event;
  const isCopy = readConflictName(baseName(path)) !== null;
  if (kind === "moved") {
    const { from } = event;
    return { time, event: isCopy ? "conflict" : kind, path, from, where, node };
  }
  if (!isCopy || kind !== "created") return { time, event: kind, path, where, node };
  // A copy made here has been told of when it was made; sending it says nothing more.
  return where === "here" ? null : { time, event: "conflict", path, where, node };
}

/** Appends events to a folder's file, from memory and now and then: losing some loses no file. */
export class EventLog implements Disposable {
  readonly #state: string;
  readonly #log: Log;
  readonly #vacated = new Set<string>();
  #lines: string[] = [];
  #timer: NodeJS.Timeout | null = null;

  constructor(state: string, log: Log) {
    this.#state = state;
    this.#log = log;
  }

  readonly tell: Tell = (event) => {
    const logged = loggedEvent(event, new Date().toISOString());
    if (logged !== null) this.write(this.#asSeen(logged));
  };

  /** What comes to the place that a conflict copy made way from is a change of what stood there. */
  #asSeen(logged: LoggedEvent): LoggedEvent {
    const { event, where, from, path } = logged;
    if (event === "conflict" && from !== undefined && this.#vacated.size < MAX_VACATED) {
      this.#vacated.add(from);
    }
    if (path === undefined || event !== "created" || where !== "elsewhere") return logged;
    return this.#vacated.delete(path) ? { ...logged, event: "changed" } : logged;
  }

  note(event: "started" | "stopped" | "halted", message?: string): void {
    const time = new Date().toISOString();
    this.write(message === undefined ? { time, event } : { time, event, message });
  }

  write(event: LoggedEvent): void {
    this.#lines.push(JSON.stringify(event));
    this.#timer ??= setTimeout(() => this.flush(), FLUSH_MS);
  }

  flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const text = this.#lines.map((line) => `${line}\n`).join("");
    this.#lines = [];
    if (text === "") return;
    const file = eventFile(this.#state);
    try {
      const size = fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0;
      if (size > MAX_FILE_BYTES) fs.renameSync(file, earlierEventFile(this.#state));
      fs.appendFileSync(file, text, { mode: 0o600 });
    } catch (error) {
      // A full disk must not stop the engine for the sake of its log.
      this.#log.warn("event-log-failed", { message: messageOf(error) });
    }
  }

  [Symbol.dispose](): void {
    this.flush();
  }
}
