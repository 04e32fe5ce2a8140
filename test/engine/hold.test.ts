import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { linkSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import { contentHash, nodeId, ROOT_NODE } from "#core/ids.ts";
import { systemClock } from "#platform/clock.ts";
import { openDeviceStore } from "#platform/device-store.ts";
import { systemDigest } from "#platform/digest.ts";
import { openDisk } from "#platform/disk.ts";
import { openFileReader } from "#platform/file-reader.ts";
import type { DiskChange, DiskLook } from "#sync/ports.ts";
import { remove } from "#sync/publish.ts";
import { LARGE_BYTES } from "#sync/reading.ts";
import { Sweeper } from "#sync/sweep.ts";
import type { LocalSide, NodeRow } from "#sync/tree.ts";

const DAY_MS = 24 * 3_600_000;
/** Long enough after what was just done that its change time tells it apart. */
const REST_MS = 3_000;

/** A real folder from which the engine takes files away, and who looks after them. */
class Desk implements AsyncDisposable {
  readonly #base = mkdtempSync(join(tmpdir(), "lockstep-hold-"));
  readonly root = join(this.#base, "root");
  readonly #store = openDeviceStore(join(this.#base, "device.sqlite"), { folding: true });
  readonly #disk = openDisk(this.root);
  readonly #reader = openFileReader({ root: this.root, cutKey: new Uint8Array(48) });
  readonly #look: DiskLook;
  reads = 0;
  sweeper: Sweeper;

  constructor() {
    for (const name of ["hold", "park"]) {
      mkdirSync(join(this.root, ".lockstep", name), { recursive: true });
    }
    const read: DiskLook["read"] = (...asked) => {
      this.reads++;
      return this.#disk.look.read(...asked);
    };
    this.#look = new Proxy(this.#disk.look, {
      get: (target, name) => (name === "read" ? read : Reflect.get(target, name).bind(target)),
    });
    this.sweeper = this.restarted();
  }

  /** As a process sees it that has just begun. */
  restarted(): Sweeper {
    const disk = { ...this.#disk, look: this.#look };
    const { records } = this.#store;
    return new Sweeper({ disk, records, reader: this.#reader, digest: systemDigest });
  }

  /** Takes a file away as a deletion does; somebody acts between the look at it and the move. */
  async takeAway(name: string, bytes: string, meanwhile: (path: string) => void): Promise<void> {
    const path = join(this.root, name);
    write(path, bytes);
    const stat = (await this.#disk.look.stat(name)) ?? assert.fail("it was just written");
    const rename: DiskChange["rename"] = (from, to) => {
      meanwhile(path);
      return this.#disk.change.rename(from, to);
    };
    const change = new Proxy(this.#disk.change, {
      get: (target, key) => (key === "rename" ? rename : Reflect.get(target, key).bind(target)),
    });
    const sha256 = contentHash(hash("sha256", bytes));
    const content = { kind: "file", sizeBytes: bytes.length, sha256, executable: false } as const;
    const { file, stamp, executable } = stat;
    const seen = { racy: false, blind: null, missedMs: null, parkedFrom: null };
    const place = { parent: ROOT_NODE, name };
    const local: LocalSide = { ...place, ...seen, content, file, stamp, executable };
    const row = { ...({} as NodeRow), id: nodeId("1".repeat(32)), kind: "file" } as const;
    const disk = { ...this.#disk, change };
    await remove({ disk, clock: systemClock }, row, name, local);
  }

  names(folder: "hold" | "park"): string[] {
    return readdirSync(join(this.root, ".lockstep", folder));
  }

  held(): string {
    return join(this.root, ".lockstep", "hold", this.names("hold")[0] ?? assert.fail("none"));
  }

  /** What came back, in no order. */
  recovered(): string[] {
    return this.names("park").map((name) =>
      readFileSync(join(this.root, ".lockstep", "park", name), "utf8"),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader[Symbol.asyncDispose]();
    await this.#disk[Symbol.asyncDispose]();
    this.#store.close();
    rmSync(this.#base, { recursive: true });
  }
}

/** Whole seconds, so that it can be put back exactly. */
const MTIME_S = 1_700_000_000;

function write(path: string, bytes: string): void {
  writeFileSync(path, bytes);
  utimesSync(path, MTIME_S, MTIME_S);
}

const soon = (): number => systemClock.nowMs() + REST_MS;
const later = (days: number): number => systemClock.nowMs() + days * DAY_MS;

suite("what the engine has taken away", () => {
  test("EX6: it comes back if it was overwritten in that very moment and its time put back", async () => {
    await using desk = new Desk();
    await desk.takeAway("f", "before", (path) => write(path, "edited"));
    assert.equal(desk.names("hold").length, 1);
    assert.equal(await desk.sweeper.sweep(soon()), 1);
    assert.deepEqual(desk.recovered(), ["edited"]);
    assert.deepEqual(desk.names("hold"), []);
  });

  test("EX6: it comes back if it is overwritten later and its time put back", async () => {
    await using desk = new Desk();
    await desk.takeAway("f", "before", () => undefined);
    assert.equal(await desk.sweeper.sweep(soon()), 0);
    write(desk.held(), "edited");
    assert.equal(await desk.sweeper.sweep(soon()), 1);
    assert.deepEqual(desk.recovered(), ["edited"]);
  });

  test("EX6: what has another name outside of hold is found there when it is written to", async () => {
    await using desk = new Desk();
    const other = join(desk.root, "other");
    await desk.takeAway("f", "before", (path) => linkSync(path, other));
    write(other, "edited");
    assert.equal(await desk.sweeper.sweep(soon()), 0);
    assert.deepEqual([...desk.names("hold"), ...desk.names("park")], []);
    assert.equal(readFileSync(other, "utf8"), "edited");
  });

  test("EX6: it is read once while it rests, also by a process that begins later", async () => {
    await using desk = new Desk();
    await desk.takeAway("f", "before", () => undefined);
    for (let sweep = 0; sweep < 3; sweep++) await desk.sweeper.sweep(soon());
    await desk.restarted().sweep(soon());
    assert.equal(desk.reads, 1);
  });

  test("EX6: it stays for seven days and is gone after them", async () => {
    await using desk = new Desk();
    await desk.takeAway("f", "before", () => undefined);
    await desk.sweeper.sweep(later(6.9));
    assert.equal(desk.names("hold").length, 1);
    assert.equal(await desk.sweeper.sweep(later(7.1)), 0);
    assert.deepEqual(desk.names("hold"), []);
  });

  test("EX6: a large file is read before it goes for good, and not before", async () => {
    await using desk = new Desk();
    const bytes = "b".repeat(LARGE_BYTES + 1);
    await desk.takeAway("kept", bytes, (path) => write(path, `e${bytes.slice(1)}`));
    assert.equal(await desk.sweeper.sweep(later(6.9)), 0);
    assert.equal(await desk.sweeper.sweep(later(7.1)), 1);
    assert.equal(desk.recovered()[0]?.slice(0, 2), "eb");
  });
});
