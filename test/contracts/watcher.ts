import assert from "node:assert/strict";
import { test } from "node:test";
import { nodeId, ROOT_NODE } from "#core/ids.ts";
import type { NodeId } from "#core/ids.ts";
import type { Watcher } from "#sync/ports.ts";

/** A watcher of one synced folder, and a person who works in that folder. */
export type WatcherUnderTest = AsyncDisposable & {
  readonly watcher: Watcher;
  /** Where hints come in no order: resolves when all hints of what happened have come. */
  settled?(): Promise<void>;
  readonly person: {
    write(path: string, text: string): Promise<void>;
    makeFolder(path: string): Promise<void>;
    rename(from: string, to: string): Promise<void>;
    /** Everything below it, too. */
    remove(path: string): Promise<void>;
  };
};

export type OpenWatcher = () => Promise<WatcherUnderTest>;

const PLACE = nodeId("a".repeat(32));
const OTHER = nodeId("b".repeat(32));

/**
 * Takes hints until one is for `folder`; nobody waits longer than the test runner lets them. A hint
 * is waited for only by those who listen before it can come.
 */
export class Hints {
  readonly #watcher: Watcher;
  readonly #seen = new Set<NodeId>();
  overflow = false;
  #wake: () => void = () => undefined;

  constructor(watcher: Watcher) {
    this.#watcher = watcher;
    watcher.onHint(() => this.#wake());
  }

  /** Forgets what was seen so far. */
  clear(): void {
    this.#take();
    this.#seen.clear();
    this.overflow = false;
  }

  async of(folder: NodeId): Promise<void> {
    await this.until(() => this.#seen.has(folder));
  }

  async until(seen: () => boolean): Promise<void> {
    for (;;) {
      const next = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#take();
      if (seen()) return;
      await next;
    }
  }

  has(folder: NodeId): boolean {
    this.#take();
    return this.#seen.has(folder);
  }

  #take(): void {
    const { folders, overflow } = this.#watcher.take();
    for (const folder of folders) this.#seen.add(folder);
    this.overflow ||= overflow;
  }
}

/** What every watcher has to answer alike. */
export function watcherContract(name: string, open: OpenWatcher): void {
  test(`WA1: ${name}: what happens in a watched folder gives a hint for that folder`, async () => {
    await using world = await open();
    const { watcher, person } = world;
    const hints = new Hints(watcher);
    await person.makeFolder("folder");
    watcher.watch(ROOT_NODE, "");
    watcher.watch(PLACE, "folder");
    await watcher.ready();
    const steps: (() => Promise<void>)[] = [
      () => person.write("folder/file", "first"),
      () => person.write("folder/file", "an edit"),
      () => person.rename("folder/file", "folder/renamed"),
      () => person.makeFolder("folder/below"),
      () => person.rename("folder/renamed", "folder/below/moved out"),
      () => person.rename("folder/below/moved out", "folder/moved in"),
      () => person.remove("folder/below"),
      () => person.remove("folder/moved in"),
    ];
    for (const step of steps) {
      hints.clear();
      await step();
      await hints.of(PLACE);
    }
    hints.clear();
    await person.write("top", "");
    await hints.of(ROOT_NODE);
    assert.equal(watcher.trouble(), null);
  });

  test(`WA1: ${name}: what happened is named once, until it is taken`, async () => {
    await using world = await open();
    const { watcher, person } = world;
    watcher.watch(ROOT_NODE, "");
    await watcher.ready();
    const hinted = new Promise<void>((resolve) => watcher.onHint(resolve));
    for (let time = 0; time < 20; time++) await person.write("file", `${time}`);
    await hinted;
    assert.deepEqual(watcher.take(), { folders: [ROOT_NODE], overflow: false });
    assert.deepEqual(watcher.take(), { folders: [], overflow: false });
  });

  test(`WA2: ${name}: a watch goes where its folder goes`, async () => {
    await using world = await open();
    const { watcher, person } = world;
    const hints = new Hints(watcher);
    await person.makeFolder("before");
    watcher.watch(PLACE, "before");
    await watcher.ready();
    await person.rename("before", "after");
    hints.clear();
    await person.write("after/file", "");
    await hints.of(PLACE);
  });

  test(`WA2: ${name}: a folder that was made again is watched again when asked`, async () => {
    await using world = await open();
    const { watcher, person } = world;
    const hints = new Hints(watcher);
    for (let time = 0; time < 3; time++) {
      await person.makeFolder("folder");
      watcher.watch(PLACE, "folder");
      await watcher.ready();
      hints.clear();
      await person.write("folder/file", "");
      await hints.of(PLACE);
      hints.clear();
      await person.remove("folder");
      await hints.of(PLACE);
    }
  });

  test(`WA2: ${name}: a folder that is not watched gives no hint`, async () => {
    await using world = await open();
    const { watcher, person } = world;
    const hints = new Hints(watcher);
    await person.makeFolder("left");
    await person.makeFolder("watched");
    watcher.watch(PLACE, "left");
    watcher.watch(OTHER, "watched");
    await watcher.ready();
    watcher.unwatch(PLACE);
    await watcher.ready();
    hints.clear();
    await person.write("left/file", "");
    // Where hints come in order, the other one would have come before this one.
    await person.write("watched/file", "");
    await hints.of(OTHER);
    await world.settled?.();
    assert.equal(hints.has(PLACE), false);
  });

  test(`WA3: ${name}: nothing to watch is no trouble, and those who wait are let go`, async () => {
    const world = await open();
    world.watcher.watch(PLACE, "gone");
    world.watcher.unwatch(OTHER);
    await world.watcher.ready();
    assert.equal(world.watcher.trouble(), null);
    const waiting = world.watcher.ready();
    await world[Symbol.asyncDispose]();
    await waiting;
    await world.watcher.ready();
    world.watcher.watch(PLACE, "too late");
  });
}
