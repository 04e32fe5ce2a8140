import { assert } from "#core/assert.ts";
import { WorldError } from "#core/errors.ts";
import type { AccountId, ChunkId, CommitId, NodeId, SpaceId } from "#core/ids.ts";
import { CHAIN_START } from "#protocol/chain.ts";
import type { CommitAnswer } from "#protocol/commit.ts";
import type { Entry } from "#protocol/feed.ts";
import type {
  Append,
  Drawn,
  Head,
  JournalStore,
  NameSlot,
  NodeRow,
  RevisionRow,
  SpaceRow,
} from "#server/metadata/port.ts";
import { withRestore } from "#server/restores.ts";

/** How long a refusal is remembered. */
const REFUSAL_LIFE_MS = 24 * 60 * 60 * 1_000;
/** What an entry takes beside its texts and chunk ids. */
const ENTRY_BYTES = 200;
const CHUNK_ID_CHARACTERS = 64;

/** A claim on a chunk: until when it is staged (null: linked), and who named it last. */
export type MemoryLink = { readonly leaseMs: number | null; readonly touched: number };

/** What a node held from a sequence on. */
export type MemoryContent = {
  readonly sequence: number;
  readonly timeMs: number;
  readonly chunks: readonly ChunkId[];
  readonly forgotten: boolean;
};

type Refusal = { readonly answer: CommitAnswer; readonly atMs: number };

/** One space of a server's database in memory: rows are never changed in place. */
export class Space {
  row: SpaceRow;
  /** The entry of sequence n stands at n - 1. */
  readonly entries: Entry[];
  readonly sequences: Map<CommitId, number>;
  readonly refusals: Map<CommitId, Refusal>;
  readonly nodes: Map<NodeId, NodeRow>;
  readonly revisions: Map<NodeId, readonly RevisionRow[]>;
  readonly links: Map<ChunkId, MemoryLink>;
  /** Contents of each node, oldest first. */
  readonly contents: Map<NodeId, readonly MemoryContent[]>;
  /** Living children of each folder, by what their names are unique by. */
  readonly children = new Map<NodeId, Map<string, NodeId>>();

  constructor(row: SpaceRow, from?: Space) {
    this.row = row;
    this.entries = [...(from?.entries ?? [])];
    this.sequences = new Map(from?.sequences);
    this.refusals = new Map(from?.refusals);
    this.nodes = new Map(from?.nodes);
    this.revisions = new Map(from?.revisions);
    this.links = new Map(from?.links);
    this.contents = new Map(from?.contents);
    for (const [folder, names] of from?.children ?? []) this.children.set(folder, new Map(names));
  }

  get head(): Head {
    const last = this.entries.at(-1);
    return { sequence: this.entries.length, chain: last?.chain ?? CHAIN_START };
  }

  holder({ parent, key }: NameSlot): NodeId | undefined {
    return this.children.get(parent)?.get(key);
  }

  place(node: NodeRow): void {
    const names = this.children.get(node.parent);
    if (names === undefined) this.children.set(node.parent, new Map([[node.key, node.id]]));
    else names.set(node.key, node.id);
  }
}

/** Spaces, their journals, nodes and revisions: the twin of `SqliteJournals`. */
export class MemoryJournals implements JournalStore {
  readonly #spaces: Map<SpaceId, Space>;
  readonly #drawn = new Map<Drawn, string>();

  constructor(spaces: Map<SpaceId, Space>) {
    this.#spaces = spaces;
  }

  async drawOnce(name: Drawn, drawn: string): Promise<string> {
    const known = this.#drawn.get(name) ?? drawn;
    this.#drawn.set(name, known);
    return known;
  }

  async drawn(name: Drawn): Promise<string | undefined> {
    return this.#drawn.get(name);
  }

  async createSpace(row: SpaceRow): Promise<boolean> {
    if (this.#spaces.has(row.id)) return false;
    for (const { row: other } of this.#spaces.values()) {
      if (other.account === row.account && other.name === row.name) return false;
    }
    this.#spaces.set(row.id, new Space(row));
    return true;
  }

  async space(id: SpaceId): Promise<SpaceRow | undefined> {
    return this.#spaces.get(id)?.row;
  }

  async spaces(account: AccountId): Promise<SpaceRow[]> {
    const rows = Array.from(this.#spaces.values(), ({ row }) => row);
    return rows.filter((row) => row.account === account);
  }

  async setKeyEpoch(space: SpaceId, keyEpoch: number): Promise<boolean> {
    const at = this.#spaces.get(space);
    if (at?.row.kind !== "sealed" || at.row.keyEpoch !== keyEpoch - 1) return false;
    at.row = { ...at.row, keyEpoch, keyEpochSequence: at.head.sequence };
    return true;
  }

  async restart(draw: () => string, isAnnounced: boolean): Promise<number> {
    for (const space of this.#spaces.values()) {
      const { restores: before, ...row } = space.row;
      const epoch = draw();
      const noted = isAnnounced ? { restores: withRestore(before, { epoch, ...space.head }) } : {};
      space.row = { ...row, epoch, ...noted };
    }
    return this.#spaces.size;
  }

  async head(space: SpaceId): Promise<Head> {
    return this.#expect(space).head;
  }

  async chainAt(space: SpaceId, sequence: number): Promise<string | undefined> {
    if (sequence === 0) return CHAIN_START;
    return this.#spaces.get(space)?.entries[sequence - 1]?.chain;
  }

  async nodes(space: SpaceId, ids: readonly NodeId[]): Promise<NodeRow[]> {
    return this.#rows(space, new Set(ids));
  }

  async holders(space: SpaceId, slots: readonly NameSlot[]): Promise<NodeRow[]> {
    const found = this.#spaces.get(space);
    const ids = slots.map((slot) => found?.holder(slot)).filter((id) => id !== undefined);
    return this.#rows(space, ids);
  }

  async children(
    space: SpaceId,
    parent: NodeId,
    limit: number,
    after?: NodeId,
  ): Promise<NodeRow[]> {
    const ids = [...(this.#spaces.get(space)?.children.get(parent)?.values() ?? [])];
    const behind = after === undefined ? ids : ids.filter((id) => id > after);
    return this.#rows(space, behind.sort().slice(0, limit));
  }

  async changedSince(space: SpaceId, sequence: number, limit: number): Promise<NodeRow[]> {
    const nodes = [...(this.#spaces.get(space)?.nodes.values() ?? [])];
    const rows = nodes
      .filter((node) => changed(node) > sequence)
      .sort((a, b) => changed(a) - changed(b) || (a.id < b.id ? -1 : 1));
    return wholePage(rows, limit, changed);
  }

  async append(space: SpaceId, append: Append): Promise<"appended" | "raced" | "missing-chunks"> {
    const at = this.#expect(space);
    const { entry, nodes } = append;
    if (at.entries.length + 1 !== entry.sequence) return "raced";
    if ((at.row.kind === "sealed" ? at.row.keyEpoch : 0) !== (entry.keyEpoch ?? 0)) return "raced";
    if (at.sequences.has(entry.commitId) || at.refusals.has(entry.commitId)) return "raced";
    const chunks = entry.changes.flatMap((change) => ("chunks" in change ? change.chunks : []));
    if (chunks.some((chunk) => !at.links.has(chunk))) return "missing-chunks";
    expectFreeNames(at, nodes);
    for (const chunk of chunks) at.links.set(chunk, { leaseMs: null, touched: entry.sequence });
    at.entries.push(entry);
    at.sequences.set(entry.commitId, entry.sequence);
    // Names of a ring swap owners within one commit: all that move or go give theirs up first.
    for (const { id } of nodes) {
      const before = at.nodes.get(id);
      if (before?.deleted === false) at.children.get(before.parent)?.delete(before.key);
    }
    const { sequence, timeMs, device } = entry;
    for (const node of nodes) {
      at.nodes.set(node.id, node);
      if (!node.deleted) at.place(node);
      const revisions = at.revisions.get(node.id) ?? [];
      const follows = followedBy(revisions, entry, node.id);
      at.revisions.set(node.id, [...revisions, { ...node, sequence, follows, timeMs, device }]);
      if (!isRewritten(entry, node.id)) continue;
      const content = { sequence, timeMs, chunks: node.chunks, forgotten: false };
      at.contents.set(node.id, [...(at.contents.get(node.id) ?? []), content]);
    }
    return "appended";
  }

  async answered(space: SpaceId, commit: CommitId): Promise<CommitAnswer | undefined> {
    const at = this.#spaces.get(space);
    const sequence = at?.sequences.get(commit);
    if (at === undefined || sequence === undefined) return at?.refusals.get(commit)?.answer;
    return { outcome: "committed", sequence, chain: at.entries[sequence - 1]?.chain ?? "" };
  }

  async rememberRefusal(
    space: SpaceId,
    commit: CommitId,
    answer: CommitAnswer,
    nowMs: number,
  ): Promise<void> {
    const { refusals } = this.#expect(space);
    for (const [id, { atMs }] of refusals) {
      if (atMs < nowMs - REFUSAL_LIFE_MS) refusals.delete(id);
    }
    if (!refusals.has(commit)) refusals.set(commit, { answer, atMs: nowMs });
  }

  async entries(
    space: SpaceId,
    sequence: number,
    limit: number,
    limitBytes = Number.POSITIVE_INFINITY,
  ): Promise<Entry[]> {
    const entries: Entry[] = [];
    let sizeBytes = 0;
    for (const entry of this.#spaces.get(space)?.entries.slice(sequence, sequence + limit) ?? []) {
      sizeBytes += sizeOf(entry);
      if (entries.length > 0 && sizeBytes > limitBytes) break;
      entries.push(entry);
    }
    return entries;
  }

  async revisions(
    space: SpaceId,
    node: NodeId,
    before: number,
    limit: number,
  ): Promise<RevisionRow[]> {
    const rows = this.#spaces.get(space)?.revisions.get(node) ?? [];
    const earlier = rows.filter(({ sequence }) => sequence < before);
    const contents = this.#spaces.get(space)?.contents.get(node) ?? [];
    return earlier
      .toReversed()
      .slice(0, limit)
      .map((row) => withoutForgotten(row, contents));
  }

  async revisionAt(
    space: SpaceId,
    node: NodeId,
    sequence: number,
  ): Promise<RevisionRow | undefined> {
    return (await this.revisions(space, node, sequence + 1, 1))[0];
  }

  async trash(space: SpaceId, before: number, limit: number): Promise<RevisionRow[]> {
    const at = this.#spaces.get(space);
    const rows = [...(at?.nodes.values() ?? [])]
      .filter((node) => node.deleted && changed(node) < before)
      .sort((a, b) => changed(b) - changed(a) || (a.id < b.id ? -1 : 1))
      .map((node) => at?.revisions.get(node.id)?.at(-1))
      .filter((row) => row !== undefined)
      .map((row) => withoutForgotten(row, at?.contents.get(row.id) ?? []));
    return wholePage(rows, limit, ({ sequence }) => sequence);
  }

  #expect(space: SpaceId): Space {
    const found = this.#spaces.get(space);
    if (found !== undefined) return found;
    throw new WorldError("not-found", `There is no space ${space}.`);
  }

  #rows(space: SpaceId, ids: Iterable<NodeId>): NodeRow[] {
    const rows: NodeRow[] = [];
    for (const id of ids) {
      const row = this.#spaces.get(space)?.nodes.get(id);
      if (row !== undefined) rows.push(row);
    }
    return rows;
  }
}

/** The sequence of the content before the one that a node has after this entry. */
function followedBy(before: readonly RevisionRow[], { changes }: Entry, id: NodeId): number {
  const last = before.at(-1);
  if (last === undefined) return 0;
  const update = changes.find(({ kind, node }) => kind === "update" && node === id);
  return update?.kind === "update" ? update.crev : last.follows;
}

function isRewritten({ changes }: Entry, id: NodeId): boolean {
  return changes.some(({ kind, node }) => node === id && (kind === "create" || kind === "update"));
}

function withoutForgotten(row: RevisionRow, contents: readonly MemoryContent[]): RevisionRow {
  const content = contents.findLast(({ sequence }) => sequence <= row.sequence);
  if (content?.forgotten !== true) return row;
  return { ...row, chunks: [], lengths: undefined, forgotten: true };
}

function changed({ crev, lrev }: NodeRow): number {
  return Math.max(crev, lrev);
}

/** The first rows, and those of the last one's sequence. */
function wholePage<Row>(rows: Row[], limit: number, sequenceOf: (row: Row) => number): Row[] {
  const last = rows[limit - 1];
  if (last === undefined) return rows;
  const end = rows.findIndex((row, at) => at >= limit && sequenceOf(row) !== sequenceOf(last));
  return end === -1 ? rows : rows.slice(0, end);
}

/** About as many bytes as an entry takes where it is stored. */
function sizeOf({ changes }: Entry): number {
  let sizeBytes = ENTRY_BYTES;
  for (const change of changes) {
    sizeBytes += ENTRY_BYTES;
    if ("name" in change) sizeBytes += change.name.length;
    if (!("chunks" in change)) continue;
    sizeBytes += change.meta.length + change.chunks.length * CHUNK_ID_CHARACTERS;
  }
  return sizeBytes;
}

/** The last wall: two living nodes never have one name. */
function expectFreeNames(space: Space, nodes: readonly NodeRow[]): void {
  const touched = new Set(nodes.map(({ id }) => id));
  const claimed = new Set<string>();
  for (const { parent, key, deleted } of nodes) {
    if (deleted) continue;
    const slot = `${parent}/${key}`;
    const holder = space.holder({ parent, key });
    const isFree = holder === undefined || touched.has(holder);
    assert(isFree && !claimed.has(slot), `the name ${slot} is taken`);
    claimed.add(slot);
  }
}
