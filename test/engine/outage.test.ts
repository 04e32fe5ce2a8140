import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, truncateSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import { nodeId, ROOT_NODE } from "#core/ids.ts";
import { systemClock } from "#platform/clock.ts";
import { openDeviceStore } from "#platform/device-store.ts";
import { systemDigest } from "#platform/digest.ts";
import { openDisk } from "#platform/disk.ts";
import { openFileReader } from "#platform/file-reader.ts";
import { IgnoreRules } from "#sync/ignore.ts";
import { Looking } from "#sync/looking.ts";
import { Life, type Boot, type Outage } from "#sync/outage.ts";
import type { Watcher } from "#sync/ports.ts";
import { Problems } from "#sync/problems.ts";
import { Reading } from "#sync/reading.ts";
import { agreedAt, type NodeRow } from "#sync/tree.ts";
import { Unsynced } from "#sync/unsynced.ts";

const { signal } = new AbortController();
const MINUTE_MS = 60_000;
const EARLIER: Boot = { id: "earlier", beganMs: 0 };

const WATCHER: Watcher = {
  watch: () => undefined,
  unwatch: () => undefined,
  ready: async () => undefined,
  take: () => ({ folders: [], overflow: false }),
  onHint: () => undefined,
  trouble: () => null,
};

/** A machine with a folder that is in sync, as far as looking and reading go. */
class Machine implements AsyncDisposable {
  readonly #base = mkdtempSync(join(tmpdir(), "lockstep-outage-"));
  readonly #root = join(this.#base, "root");
  readonly #store = openDeviceStore(join(this.#base, "device.sqlite"), { folding: true });
  readonly #disk = openDisk(this.#root);
  readonly #reader = openFileReader({ root: this.#root, cutKey: new Uint8Array(48) });
  readonly problems = new Problems();

  constructor() {
    mkdirSync(join(this.#root, ".lockstep", "park"), { recursive: true });
  }

  path(name: string): string {
    return join(this.#root, name);
  }

  row(name: string): NodeRow {
    return this.#store.trees.named("remote", ROOT_NODE, name)[0] ?? assert.fail(`no ${name}`);
  }

  /** Looks at everything and reads it, as an engine does that has just begun. */
  async look(outage: Outage | null): Promise<void> {
    const steady = { clock: systemClock, problems: this.problems, outage: () => outage };
    const shared = { ...this.#store, ...steady, disk: this.#disk, digest: systemDigest };
    const fresh = () => nodeId(randomBytes(16).toString("hex"));
    const seeRoot = async (): Promise<void> => undefined;
    const own = { watcher: WATCHER, rules: new IgnoreRules(), fresh, seeRoot };
    const unsynced = new Unsynced(this.#disk);
    const looking = new Looking({ ...shared, ...own, unsynced });
    await looking.run(signal);
    const wake = () => undefined;
    const reading = new Reading(
      { ...shared, reader: this.#reader, wall: systemClock },
      { wake, lookAgain: wake },
    );
    for (let dueMs = await reading.run(); dueMs !== null; dueMs = await reading.run()) {
      await systemClock.sleep(Math.max(0, dueMs - systemClock.nowMs()));
    }
  }

  /** Writes a file that is then the same here and at the server. */
  async agreeOn(name: string, bytes: string): Promise<void> {
    writeFileSync(this.path(name), bytes);
    await this.look(null);
    const row = this.#store.trees.named("local", ROOT_NODE, name)[0];
    assert(row?.local?.content);
    const { content, file } = row.local;
    const place = { parent: ROOT_NODE, name };
    const remote = { ...place, content, mtimeMs: 0, crev: 1, lrev: 1 };
    const synced = agreedAt(remote, place, content, file);
    this.#store.trees.put({ ...row, remote, synced });
  }

  life(boot: Boot | null): Life {
    return new Life(this.#store.records, boot);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader[Symbol.asyncDispose]();
    await this.#disk[Symbol.asyncDispose]();
    this.#store.close();
    rmSync(this.#base, { recursive: true });
  }
}

/** An outage a moment ago, or one from which the machine came up before what is done here. */
function outage(cameUp: "after" | "before"): Outage {
  const nowMs = systemClock.nowMs();
  const bootedMs = nowMs + (cameUp === "after" ? MINUTE_MS : -MINUTE_MS);
  return { sinceMs: nowMs - 2 * MINUTE_MS, bootedMs };
}

suite("a machine that lost power", () => {
  for (const [what, damage] of [
    ["is empty", (path: string) => truncateSync(path, 0)],
    ["holds nothing but zeros", (path: string) => writeFileSync(path, new Uint8Array(40_000))],
  ] as const) {
    test(`EX9: a file that ${what} when it comes up gets back what it had`, async () => {
      await using machine = new Machine();
      await machine.agreeOn("f", "bytes");
      const before = machine.row("f");
      damage(machine.path("f"));
      await machine.look(outage("after"));
      const { remote, synced, local } = machine.row("f");
      assert.deepEqual(synced?.content, local?.content);
      assert.deepEqual(remote, before.remote);
      assert.notDeepEqual(local?.content, before.local?.content);
    });

    test(`EX9: one of which a person saw to it that it ${what} afterwards is an edit`, async () => {
      await using machine = new Machine();
      await machine.agreeOn("f", "bytes");
      const { synced } = machine.row("f");
      damage(machine.path("f"));
      await machine.look(outage("before"));
      assert.deepEqual(machine.row("f").synced, synced);
    });
  }

  test("EX9: a file that held zeros before may hold others", async () => {
    await using machine = new Machine();
    await machine.agreeOn("f", "\0\0\0");
    const { synced } = machine.row("f");
    writeFileSync(machine.path("f"), "\0\0");
    await machine.look(outage("after"));
    assert.deepEqual(machine.row("f").synced, synced);
  });

  test("EX9: what is missing when it comes up and was young comes back", async () => {
    await using machine = new Machine();
    await machine.agreeOn("f", "bytes");
    unlinkSync(machine.path("f"));
    await machine.look(outage("after"));
    const { synced, local, remote } = machine.row("f");
    assert.deepEqual([synced, local], [null, null]);
    assert(remote);
  });

  test("EX9: what is missing and was older than that was deleted", async () => {
    await using machine = new Machine();
    await machine.agreeOn("f", "bytes");
    unlinkSync(machine.path("f"));
    await machine.look({ ...outage("after"), sinceMs: systemClock.nowMs() + MINUTE_MS });
    assert.equal(machine.row("f").local?.blind, "absent");
  });

  test("EX10: people are told of each that comes back, and not of what they did", async () => {
    await using machine = new Machine();
    for (const name of ["blank", "gone", "edited"]) await machine.agreeOn(name, "bytes");
    truncateSync(machine.path("blank"), 0);
    unlinkSync(machine.path("gone"));
    writeFileSync(machine.path("edited"), "other bytes");
    await machine.look(outage("after"));
    const told = machine.problems.list().map(({ path, code }) => [path, code]);
    assert.deepEqual(told, [
      ["blank", "restored"],
      ["gone", "restored"],
    ]);
    machine.problems.expire("outage", systemClock.nowMs() + 1);
    assert.deepEqual(machine.problems.list(), []);
  });

  test("EX9: only another boot after an engine that did not end is an outage", async () => {
    await using machine = new Machine();
    const outageAt = (boot: Boot | null): Outage | null => {
      const life = machine.life(boot);
      life.begin(5 * MINUTE_MS);
      return life.outage;
    };
    const later: Boot = { id: "later", beganMs: 7 * MINUTE_MS };
    assert.equal(outageAt(EARLIER), null);
    assert.equal(outageAt(EARLIER), null);
    const seen = outageAt(later);
    assert.deepEqual(seen, { sinceMs: 4 * MINUTE_MS, bootedMs: later.beganMs });
    // Killed before it was done with it.
    assert.deepEqual(outageAt(later), seen);
    const life = machine.life(later);
    life.begin(8 * MINUTE_MS);
    life.end();
    assert.equal(outageAt(EARLIER), null);
    assert.equal(outageAt(null), null);
  });
});
