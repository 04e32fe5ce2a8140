import { assert } from "#core/assert.ts";
import type { ChunkId, ContentHash, NodeId } from "#core/ids.ts";
import type { Manifest } from "#core/node.ts";
import type { ChunkSource, DeviceRecords, TreeStore } from "#sync/ports.ts";
import { MemorySealedRecords, type SealedImage } from "./memory-sealed-records.ts";
import { agrees, isEmpty, type FileKey, type NodeRow } from "#sync/tree.ts";

type Side = "remote" | "synced" | "local";
const SIDES: readonly Side[] = ["remote", "synced", "local"];

/** Lazy transactions that a power cut takes back at most. */
const MAX_LAZY = 16;
/** Places of one chunk that are named. */
const MAX_SOURCES = 64;

/** All that a device's database holds, as of one moment; rows are never changed in place. */
export type StoreImage = {
  readonly rows: ReadonlyMap<NodeId, NodeRow>;
  readonly settings: ReadonlyMap<string, string>;
  readonly manifests: ReadonlyMap<ContentHash, Manifest>;
  readonly sources: ReadonlyMap<NodeId, Manifest>;
  readonly sealed: SealedImage;
};

/** What an engine meets whose process has ended in the middle of something. */
export class Crashed extends Error {
  override readonly name = "Crashed";
}

/**
 * A device's database in memory. Whoever holds it after `close` gets `Crashed`: a process that is
 * gone writes nothing.
 */
export class MemoryStore implements TreeStore, DeviceRecords {
  readonly #nameKey: (name: string) => string;
  readonly #rows: Map<NodeId, NodeRow>;
  readonly #settings: Map<string, string>;
  readonly #manifests: Map<ContentHash, Manifest>;
  readonly #sources: Map<NodeId, Manifest>;
  /** What a device of a sealed space has beside. */
  readonly sealed: MemorySealedRecords;
  readonly #children: Readonly<Record<Side, Map<NodeId, Set<NodeId>>>> = {
    remote: new Map(),
    synced: new Map(),
    local: new Map(),
  };
  readonly #holding = new Map<FileKey, Set<NodeId>>();
  readonly #unsettled = new Set<NodeId>();
  /** Rows of `#unsettled` in order, until one is put; nobody who is given them alters the list. */
  #changed: NodeRow[] | null = null;
  /** What takes back each of the lazy transactions since the last other one, newest last. */
  readonly #lazy: (() => void)[][] = [];
  #open: (() => void)[] | null = null;
  #closed = false;
  #changes = 0;
  /** Asked at every commit; true ends the process there, before the commit or after it. */
  crashAt: (moment: "before-commit" | "after-commit") => boolean = () => false;
  /** Told after every transaction that changed something: of the rows, as they were before it. */
  onChange: (before: ReadonlyMap<NodeId, NodeRow | undefined>) => void = () => {};
  #before = new Map<NodeId, NodeRow | undefined>();

  constructor(nameKey: (name: string) => string, image: StoreImage | null) {
    this.#nameKey = nameKey;
    this.#rows = new Map();
    this.#settings = new Map(image?.settings);
    this.#manifests = new Map(image?.manifests);
    this.#sources = new Map(image?.sources);
    this.sealed = new MemorySealedRecords(
      (map, key, value) => this.#change(map, key, value),
      image?.sealed,
    );
    for (const row of image?.rows.values() ?? []) this.#set(row.id, row);
  }

  image(): StoreImage {
    return {
      rows: new Map(this.#rows),
      settings: new Map(this.#settings),
      manifests: new Map(this.#manifests),
      sources: new Map(this.#sources),
      sealed: this.sealed.image(),
    };
  }

  everything(): Iterable<NodeRow> {
    return this.#rows.values();
  }

  close(): void {
    this.#closed = true;
  }

  /** A power cut: the last of what was done lazily is lost, of so many as `drawn` says, or none. */
  losePower(drawn: (most: number) => number): void {
    for (let lost = drawn(this.#lazy.length); lost > 0; lost--) rollBack(this.#lazy.pop() ?? []);
  }

  transaction<T>(work: () => T): T {
    return this.#run(work, false);
  }

  lazily<T>(work: () => T): T {
    return this.#run(work, true);
  }

  #run<T>(work: () => T, isLazy: boolean): T {
    this.#expectOpen();
    if (this.#open !== null) return this.#within(this.#open, work);
    const undo: (() => void)[] = [];
    this.#open = undo;
    try {
      const result = work();
      expectDone(result);
      if (undo.length > 0 && this.crashAt("before-commit")) throw new Crashed("before a commit");
      if (undo.length > 0) this.#noteDone(undo, isLazy);
      this.#open = null;
      if (undo.length > 0) this.onChange(this.#before);
      if (undo.length > 0 && this.crashAt("after-commit")) throw new Crashed("after a commit");
      return result;
    } catch (error) {
      if (this.#open !== null) rollBack(undo);
      throw error;
    } finally {
      this.#open = null;
      if (this.#before.size > 0) this.#before = new Map();
    }
  }

  /** One that changes something makes all before it durable, unless it is lazy itself. */
  #noteDone(undo: (() => void)[], isLazy: boolean): void {
    if (!isLazy) this.#lazy.length = 0;
    else if (this.#lazy.push(undo) > MAX_LAZY) this.#lazy.shift();
  }

  /** A transaction in another one: what it did goes with it when it throws. */
  #within<T>(undo: (() => void)[], work: () => T): T {
    const before = undo.length;
    try {
      const result = work();
      expectDone(result);
      return result;
    } catch (error) {
      rollBack(undo.splice(before));
      throw error;
    }
  }

  get(id: NodeId): NodeRow | undefined {
    this.#expectOpen();
    return this.#rows.get(id);
  }

  put(row: NodeRow): void {
    if (this.#open === null) {
      this.transaction(() => this.put(row));
      return;
    }
    this.#expectOpen();
    const before = this.#rows.get(row.id);
    this.#open.push(() => this.#set(row.id, before));
    if (!this.#before.has(row.id)) this.#before.set(row.id, before);
    this.#set(row.id, row);
  }

  changed(): NodeRow[] {
    this.#expectOpen();
    return (this.#changed ??= this.#list(this.#unsettled));
  }

  children(side: Side, parent: NodeId): NodeRow[] {
    this.#expectOpen();
    return this.#list(this.#children[side].get(parent));
  }

  named(side: Side, parent: NodeId, name: string): NodeRow[] {
    const key = this.#nameKey(name);
    return this.children(side, parent).filter((row) => {
      const at = row[side];
      return at !== null && (at.name === name || this.#nameKey(at.name) === key);
    });
  }

  holding(file: FileKey): NodeRow[] {
    this.#expectOpen();
    return this.#list(this.#holding.get(file));
  }

  localFolders(): NodeId[] {
    this.#expectOpen();
    const rows = [...this.#rows.values()];
    return rows.filter((row) => row.kind === "folder" && row.local !== null).map(({ id }) => id);
  }

  setting(name: string): string | undefined {
    this.#expectOpen();
    return this.#settings.get(name);
  }

  setSetting(name: string, value: string | null): void {
    this.#change(this.#settings, name, value ?? undefined);
  }

  manifest(content: ContentHash): Manifest | undefined {
    this.#expectOpen();
    return this.#manifests.get(content);
  }

  putManifest(content: ContentHash, manifest: Manifest): void {
    this.#change(this.#manifests, content, manifest);
  }

  sources(chunk: ChunkId): ChunkSource[] {
    this.#expectOpen();
    const found: ChunkSource[] = [];
    for (const [node, manifest] of this.#sources) {
      let offsetBytes = 0;
      for (const { chunk: own, lengthBytes } of manifest) {
        if (own === chunk && found.length < MAX_SOURCES)
          found.push({ node, offsetBytes, lengthBytes });
        offsetBytes += lengthBytes;
      }
    }
    return found;
  }

  setSources(node: NodeId, manifest: Manifest | null): void {
    this.#change(this.#sources, node, manifest ?? undefined);
  }

  dropUnnamed(): void {
    const named = new Set<ContentHash>();
    for (const row of this.#rows.values()) {
      for (const side of SIDES) {
        const content = row[side]?.content;
        if (content?.kind === "file") named.add(content.sha256);
      }
    }
    for (const content of this.#manifests.keys()) {
      if (!named.has(content)) this.#change(this.#manifests, content, undefined);
    }
    for (const node of this.#sources.keys()) {
      if (!this.#rows.get(node)?.local) this.setSources(node, null);
    }
    this.sealed.dropSignatures((raw) => this.sources(raw).length > 0);
  }

  count(side: Side): number {
    this.#expectOpen();
    return [...this.#rows.values()].filter((row) => row[side] !== null).length;
  }

  #expectOpen(): void {
    if (this.#closed) throw new Crashed("the process has ended");
  }

  #change<K, V>(map: Map<K, V>, key: K, value: V | undefined): void {
    this.transaction(() => {
      const before = map.get(key);
      const write = (to: V | undefined): void => {
        if (to === undefined) map.delete(key);
        else map.set(key, to);
      };
      this.#open?.push(() => write(before));
      write(value);
    });
  }

  #list(ids: ReadonlySet<NodeId> | undefined): NodeRow[] {
    const rows: NodeRow[] = [];
    for (const id of ids ?? []) {
      const row = this.#rows.get(id);
      if (row !== undefined) rows.push(row);
    }
    return rows.length < 2 ? rows : rows.sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  get changes(): number {
    return this.#changes;
  }

  #set(id: NodeId, row: NodeRow | undefined): void {
    this.#changes++;
    this.#changed = null;
    const before = this.#rows.get(id);
    if (before !== undefined) this.#index(before, false);
    if (row === undefined || isEmpty(row)) {
      this.#rows.delete(id);
      this.#unsettled.delete(id);
      return;
    }
    this.#rows.set(id, row);
    this.#index(row, true);
    if (agrees(row)) this.#unsettled.delete(id);
    else this.#unsettled.add(id);
  }

  #index(row: NodeRow, add: boolean): void {
    for (const side of SIDES) {
      const at = row[side];
      if (at !== null) member(this.#children[side], at.parent, row.id, add);
    }
    if (row.local !== null) member(this.#holding, row.local.file, row.id, add);
  }
}

function member<K>(index: Map<K, Set<NodeId>>, key: K, id: NodeId, add: boolean): void {
  const members = index.get(key);
  if (!add) members?.delete(id);
  else if (members === undefined) index.set(key, new Set([id]));
  else members.add(id);
}

function expectDone(result: unknown): void {
  assert(!(result instanceof Promise), "a transaction ends before its work does");
}

function rollBack(undo: readonly (() => void)[]): void {
  for (const take of undo.toReversed()) take();
}
