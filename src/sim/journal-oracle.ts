import { contentHash, ROOT_NODE, type ChunkId, type NodeId } from "#core/ids.ts";
import { foldName, plainNameKey } from "#core/names.ts";
import type { NodeKind } from "#core/node.ts";
import { CHAIN_START, nextChain } from "#protocol/chain.ts";
import type { Change } from "#protocol/commit.ts";
import type { Entry } from "#protocol/feed.ts";
import { neededChunks } from "#protocol/kept-chunks.ts";
import { readPlainMeta } from "#protocol/meta.ts";
import { nodeDigest } from "#server/digest.ts";
import type { NodeRow } from "#server/metadata/port.ts";
import type { VirtualServer } from "./virtual-server.ts";

type Node = {
  kind: NodeKind;
  parent: NodeId;
  name: string;
  meta: string;
  crev: number;
  lrev: number;
};

/** More folders above one another than any story makes. */
const MOST_DEPTH = 200;

/**
 * Plays a journal again, entry by entry, and says what is wrong with it: a gap, a chain that
 * breaks, a change planned on another revision than it met, a tree that is none (I5).
 */
export class Replay {
  readonly #nameKey: (name: string) => string;
  readonly nodes = new Map<NodeId, Node>();
  readonly #slots = new Map<string, NodeId>();
  /** Kinds of all nodes that ever were: an id is never given to another one. */
  readonly #kinds = new Map<NodeId, NodeKind>();
  readonly wrong: string[] = [];
  #sequence = 0;
  #chain = CHAIN_START;

  constructor(folding: boolean) {
    this.#nameKey = folding ? foldName : plainNameKey;
  }

  /** `opened` are the entry's changes as a plain space has them. */
  take(entry: Entry, opened: readonly Change[] = entry.changes): void {
    const { chain: claimed, ...rest } = entry;
    if (entry.sequence !== ++this.#sequence) this.#accuse("does not follow the one before");
    this.#chain = nextChain(nodeDigest, this.#chain, rest);
    if (this.#chain !== claimed) this.#accuse("breaks the chain");
    for (const change of opened) this.#apply(change);
    for (const { node } of opened) this.#judge(node);
  }

  #accuse(what: string): void {
    this.wrong.push(`entry ${this.#sequence} ${what}`);
  }

  #apply(change: Change): void {
    const { node } = change;
    const sequence = this.#sequence;
    const before = this.nodes.get(node);
    if (change.kind === "create") {
      const { type: kind, parent, name, meta } = change;
      if (this.#kinds.has(node)) this.#accuse(`makes ${name}, whose id was given`);
      this.#kinds.set(node, kind);
      this.nodes.set(node, { kind, parent, name, meta, crev: sequence, lrev: sequence });
      return;
    }
    if (before === undefined) {
      this.#accuse(`has a ${change.kind} of nothing`);
      return;
    }
    const isCurrent =
      (change.kind === "move" || change.crev === before.crev || before.crev === sequence) &&
      (change.kind === "update" || change.lrev === before.lrev || before.lrev === sequence);
    if (!isCurrent) this.#accuse(`has a ${change.kind} of ${before.name} of another revision`);
    if (change.kind === "delete") this.nodes.delete(node);
    else if (change.kind === "update") {
      this.nodes.set(node, { ...before, meta: change.meta, crev: sequence });
    } else {
      const { parent, name } = change;
      this.nodes.set(node, { ...before, parent, name, lrev: sequence });
    }
  }

  /** The tree around a node, now that all of the entry is done. */
  #judge(id: NodeId): void {
    const node = this.nodes.get(id);
    if (node === undefined) {
      if (this.#hasChildren(id)) this.#accuse("deletes a folder that is not empty");
      return;
    }
    const slot = `${node.parent}/${this.#nameKey(node.name)}`;
    const other = this.#slots.get(slot);
    const holder = other === undefined ? undefined : this.nodes.get(other);
    const isHeld = holder !== undefined && this.#slotOf(holder) === slot;
    if (isHeld && other !== id) this.#accuse(`gives the name ${node.name} twice`);
    this.#slots.set(slot, id);
    if (readPlainMeta(node.meta).content.kind !== node.kind) {
      this.#accuse(`makes ${node.name} another kind`);
    }
    let at: NodeId = node.parent;
    for (let depth = 0; at !== ROOT_NODE; depth++) {
      const folder = this.nodes.get(at);
      if (folder?.kind !== "folder" || depth > MOST_DEPTH) {
        this.#accuse(`leaves ${node.name} in no folder`);
        return;
      }
      at = folder.parent;
    }
  }

  #slotOf({ parent, name }: Node): string {
    return `${parent}/${this.#nameKey(name)}`;
  }

  #hasChildren(id: NodeId): boolean {
    for (const { parent } of this.nodes.values()) if (parent === id) return true;
    return false;
  }
}

/** What is wrong with a server's journal, its tree and its chunks, in sentences. */
export async function journalFaults(server: VirtualServer, folding: boolean): Promise<string[]> {
  const entries = await server.entries();
  const replay = new Replay(folding);
  for (const entry of entries) replay.take(entry, server.opened(entry.changes));
  const rows = [...(await server.tree()).values()];
  return [...replay.wrong, ...treeFaults(rows, replay), ...(await chunkFaults(server, entries))];
}

/** Which versions that the server keeps cannot be read. */
export async function readingFaults(server: VirtualServer): Promise<string[]> {
  return chunkFaults(server, await server.entries());
}

/** The server's tree is what its journal says. */
function treeFaults(rows: readonly NodeRow[], { nodes }: Replay): string[] {
  const wrong: string[] = [];
  for (const { id, parent, name, meta, crev, lrev } of rows) {
    const node = nodes.get(id);
    const isSame =
      node?.parent === parent &&
      node.name === name &&
      node.meta === meta &&
      node.crev === crev &&
      node.lrev === lrev;
    if (!isSame) wrong.push(`the server has ${name} otherwise than its journal`);
  }
  if (rows.length !== nodes.size) wrong.push("the server's tree is not the journal's");
  return wrong;
}

/** Nodes and sequences of contents that a collector has taken. */
async function forgottenBy({ collection, space }: VirtualServer): Promise<Set<string>> {
  const contents = await collection.links.contents(space, 1_000_000);
  const forgotten = contents.filter((content) => content.forgotten);
  return new Set(forgotten.map(({ node, sequence }) => `${node} ${sequence}`));
}

/** Every content that is not forgotten can be read, and is what it was (I8, I12). */
async function chunkFaults(server: VirtualServer, entries: readonly Entry[]): Promise<string[]> {
  const contents = new Map<string, readonly ChunkId[]>();
  const lists = new Map<NodeId, readonly ChunkId[]>();
  const forgotten = await forgottenBy(server);
  for (const { sequence, changes } of entries) {
    for (const change of server.opened(changes)) {
      if (change.kind !== "create" && change.kind !== "update") continue;
      const { content } = readPlainMeta(change.meta);
      const list = neededChunks(lists.get(change.node) ?? [], change);
      lists.set(change.node, list);
      if (content.kind !== "file" || forgotten.has(`${change.node} ${sequence}`)) continue;
      contents.set(content.sha256, list);
    }
  }
  const named = [...new Set([...contents.values()].flat())];
  const held = new Set((await server.chunks.held(server.space, named)).map(({ id }) => id));
  const wrong = named
    .filter((chunk) => !held.has(chunk))
    .map((chunk) => `chunk ${chunk} of a revision is gone`);
  const bytes = new Map<ChunkId, Uint8Array>();
  for await (const frame of await server.intake.fetch(server.space, [...held])) {
    bytes.set(frame.id, frame.bytes);
  }
  for (const [sha256, chunks] of contents) {
    if (!chunks.every((chunk) => held.has(chunk))) continue;
    const whole = server.reader.whole(contentHash(sha256), chunks, bytes);
    if (Buffer.from(nodeDigest.sha256(whole)).toString("hex") === sha256) continue;
    wrong.push(`the content ${sha256} cannot be read any more`);
  }
  return wrong;
}
