import assert from "node:assert/strict";
import * as fs from "node:fs";
import { test } from "node:test";
import type { Log } from "#core/world.ts";
import { scratchFolder } from "../../test/contracts/scratch.ts";
import { EventLog, eventFile, loggedEvent } from "./event-log.ts";
import { followEvents, lastEvents } from "./event-reader.ts";

const TIME = "2026-03-01T10:00:00.000Z";
const COPY = "sub/report (b's Conflict Copy 2026-03-01).txt";
const quiet = (): void => undefined;
const SILENT: Log = { debug: quiet, info: quiet, warn: quiet, error: quiet };

test("CL17: a conflict copy is one event, where it is made and where it arrives", () => {
  const file = { node: "file", path: COPY } as const;
  const moved = { kind: "moved", where: "elsewhere", from: "sub/report.txt", ...file } as const;
  assert.equal(loggedEvent(moved, TIME)?.event, "conflict");
  assert.equal(loggedEvent({ kind: "created", where: "here", ...file }, TIME), null);
  assert.equal(
    loggedEvent({ kind: "created", where: "elsewhere", ...file }, TIME)?.event,
    "conflict",
  );
  assert.equal(loggedEvent({ kind: "deleted", where: "here", ...file }, TIME)?.event, "deleted");
});

test("CL17: events are read back oldest first, as many as are asked for", async () => {
  await using scratch = await scratchFolder();
  const log = new EventLog(scratch.path, SILENT);
  log.note("started");
  log.tell({ kind: "created", where: "here", node: "file", path: "a\nb.txt" });
  log.tell({ kind: "problem", path: "c", code: "io", message: "The disk failed." });
  log[Symbol.dispose]();
  // A crash may cut a line short; it takes no other with it.
  fs.appendFileSync(eventFile(scratch.path), '{"time": "20');
  const names = (count: number): string[] =>
    lastEvents(scratch.path, count).events.map(({ event }) => event);
  assert.deepEqual(names(50), ["started", "created", "problem"]);
  assert.deepEqual(names(1), ["problem"]);
  assert.deepEqual(names(0), []);
  assert.equal(lastEvents(scratch.path, 2).events[0]?.path, "a\nb.txt");
});

test("CL17: what takes a conflict copy's place has changed, it is not new", async () => {
  await using scratch = await scratchFolder();
  const log = new EventLog(scratch.path, SILENT);
  const from = "sub/report.txt";
  const created = { kind: "created", where: "elsewhere", node: "file", path: from } as const;
  log.tell({ kind: "moved", where: "elsewhere", node: "file", from, path: COPY });
  log.tell(created);
  log.tell(created);
  log[Symbol.dispose]();
  const told = lastEvents(scratch.path, 50).events.map(({ event }) => event);
  assert.deepEqual(told, ["conflict", "changed", "created"]);
});

test("CL17: what is appended is followed, also into the file that takes its place", async () => {
  await using scratch = await scratchFolder();
  const log = new EventLog(scratch.path, SILENT);
  log.note("started");
  log.flush();
  const { position } = lastEvents(scratch.path, 50);
  const seen: string[] = [];
  const stop = new AbortController();
  const following = followEvents(
    scratch.path,
    position,
    ({ event }) => {
      seen.push(event);
      if (event === "stopped") {
        fs.renameSync(eventFile(scratch.path), `${eventFile(scratch.path)}.before`);
        log.note("halted", "It stopped.");
        log.flush();
      }
      if (event === "halted") stop.abort();
    },
    stop.signal,
  );
  log.note("stopped");
  log.flush();
  await following;
  assert.deepEqual(seen, ["stopped", "halted"]);
});
