import type { DeviceId, NodeId } from "#core/ids.ts";
import { sameContent, samePlace } from "#core/node.ts";
import type { Entry } from "#protocol/feed.ts";
import { readConflictName } from "#sync/conflict.ts";
import { readPosition } from "#sync/settings.ts";
import type { NodeRow } from "#sync/tree.ts";
import type { MemoryStore } from "./memory-store.ts";
import type { Past } from "./past.ts";

/** Something a person did under a name, and how far their device was level with the server. */
type Touch = {
  readonly name: string;
  readonly level: number;
  /** What of the server's had that name on their disk, whatever its name there was. */
  readonly nodes: readonly NodeId[];
};

/** A device, as far as people's conflicts go. */
type Party = { readonly id: DeviceId; readonly name: string; readonly store: MemoryStore };

/**
 * No conflict without concurrency: where a device makes a conflict copy, its person did something
 * under that name, and somebody else did too, which that person could not have seen.
 */
export class ConflictOracle {
  readonly #nameKey: (name: string) => string;
  readonly #touches = new Map<DeviceId, Map<string, Touch[]>>();
  /** The same of what is in folders of these names. */
  readonly #within = new Map<DeviceId, Map<string, Touch[]>>();
  readonly #levels = new Map<DeviceId, number>();

  constructor(nameKey: (name: string) => string) {
    this.#nameKey = nameKey;
  }

  /** A person at this device made, wrote or renamed something to this path. */
  touched({ id, store }: Party, path: string): void {
    const folders = path.split("/");
    const name = folders.pop() ?? "";
    const known = store.changed().filter((row) => row.remote && row.local?.name === name);
    // In the place of what was just deleted nothing that came since could be put.
    const gone = known.filter(({ local }) => local?.blind === "absent");
    const seen = gone.flatMap(({ synced }) => (synced === null ? [] : [synced.crev]));
    const level = Math.min(this.#levelOf(id, store), ...seen);
    const nodes = known.map((row) => row.id);
    this.#note(this.#touches, id, { name, level, nodes });
    // What this device was not level with is known by another name elsewhere.
    for (const { remote } of known) {
      if (remote === null || remote.name === name) continue;
      this.#note(this.#touches, id, { name: remote.name, level, nodes });
    }
    // A folder in which one person works stays, whatever another one does to it.
    for (const folder of folders) this.#note(this.#within, id, { name: folder, level, nodes: [] });
  }

  #note(into: Map<DeviceId, Map<string, Touch[]>>, id: DeviceId, touch: Touch): void {
    const { name } = touch;
    const own = into.get(id) ?? new Map<string, Touch[]>();
    into.set(id, own);
    for (const key of new Set([this.#nameKey(name), this.#keyOf(name)])) {
      own.set(key, [...(own.get(key) ?? []), touch]);
    }
  }

  /** Conflict copies of nothing, as sentences. */
  faults(parties: readonly Party[], entries: readonly Entry[], past: Past): string[] {
    const wrong: string[] = [];
    for (const { sequence, device, changes } of entries) {
      const party = parties.find(({ id }) => id === device);
      if (party === undefined) continue;
      for (const change of changes) {
        if (change.kind !== "create" && change.kind !== "move") continue;
        const copy = readConflictName(change.name);
        if (copy === null || copy.device !== party.name) continue;
        if (this.#isPersons(party, change.name)) continue;
        if (this.#isReal(party, this.#nameKey(copy.of), sequence, entries, past)) continue;
        wrong.push(`${party.name} made ${change.name}, and nobody else had touched ${copy.of}`);
      }
    }
    return wrong;
  }

  /** True of a name like a copy's that the person gave, as editors do beside what they open. */
  #isPersons({ id }: Party, name: string): boolean {
    const touches = this.#touches.get(id)?.get(this.#nameKey(name)) ?? [];
    return touches.some((touch) => touch.name === name);
  }

  #isReal(
    { id }: Party,
    key: string,
    until: number,
    entries: readonly Entry[],
    past: Past,
  ): boolean {
    const own = this.#touches.get(id);
    const names = [...this.#namesWith(key, entries, past)];
    const within = this.#within.get(id);
    const touches = names.flatMap((known) => [
      ...(own?.get(known) ?? []),
      ...(within?.get(known) ?? []),
    ]);
    if (touches.length === 0) return false;
    const level = Math.min(...touches.map((touch) => touch.level));
    // Two spellings of what the space takes for one name are in each other's way at one device.
    const spellings = new Set((own?.get(key) ?? []).map(({ name }) => name));
    for (const name of this.#namesLike(key, entries)) spellings.add(name);
    if (spellings.size > 1) return true;
    // A name that a person gave and nobody else ever heard of is the node's at this device alone.
    const nodes = new Set((own?.get(key) ?? []).flatMap((touch) => touch.nodes));
    return entries.some(({ sequence, device, changes }) => {
      if (device === id || sequence <= level || sequence > until) return false;
      return changes.some(({ node }) => nodes.has(node) || this.#wasAtOrBelow(node, key, past));
    });
  }

  /**
   * True of a node that ever had the name, and of what was ever below one: a folder that one
   * person deletes stays for what another one does in it.
   */
  #wasAtOrBelow(top: NodeId, key: string, past: Past): boolean {
    const seen = new Set<NodeId>();
    const pending = [top];
    for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
      if (seen.has(node)) continue;
      seen.add(node);
      for (const { name, parent } of past.ever(node)) {
        if (this.#isNamed(name, key)) return true;
        pending.push(parent);
      }
    }
    return false;
  }

  #isNamed(name: string, key: string): boolean {
    return this.#keyOf(name) === key || this.#nameKey(name) === key;
  }

  /** The name, and each other that a node of this name ever had: a person may know that one. */
  #namesWith(key: string, entries: readonly Entry[], past: Past): Set<string> {
    const keys = new Set([key]);
    for (const { node } of entries.flatMap(({ changes }) => changes)) {
      const names = past.ever(node).map(({ name }) => name);
      if (!names.some((name) => this.#isNamed(name, key))) continue;
      for (const name of names) keys.add(this.#keyOf(name)).add(this.#nameKey(name));
    }
    return keys;
  }

  /** A conflict copy is in the way of what it was made beside. */
  #keyOf(name: string): string {
    return this.#nameKey(readConflictName(name)?.of ?? name);
  }

  *#namesLike(key: string, entries: readonly Entry[]): Iterable<string> {
    for (const change of entries.flatMap(({ changes }) => changes)) {
      if (change.kind !== "create" && change.kind !== "move") continue;
      if (this.#nameKey(change.name) === key) yield change.name;
    }
  }

  /** Up to which entry all that the server had is on the disk. */
  #levelOf(id: DeviceId, store: MemoryStore): number {
    const isLevel = !store.changed().some(isBehind);
    const before = this.#levels.get(id) ?? 0;
    const level = isLevel ? readPosition(store, "").sequence : before;
    this.#levels.set(id, level);
    return level;
  }
}

/** True of a node of which the server has something that the disk has not. */
function isBehind({ remote, synced }: NodeRow): boolean {
  if (remote === null || synced === null) return remote !== synced;
  return !samePlace(remote, synced) || !sameContent(remote.content, synced.content);
}
