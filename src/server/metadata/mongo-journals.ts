import { assert } from "#core/assert.ts";
import { WorldError } from "#core/errors.ts";
import {
  accountId,
  deviceId,
  nodeId,
  spaceId,
  type AccountId,
  type CommitId,
  type NodeId,
  type SpaceId,
} from "#core/ids.ts";
import { CHAIN_START } from "#protocol/chain.ts";
import { CommitAnswer } from "#protocol/commit.ts";
import type { Entry } from "#protocol/feed.ts";
import { withRestore } from "../restores.ts";
import { namedChunks } from "./entries.ts";
import { inBatches, linkId } from "./mongo-chunks.ts";
import type { MongoDatabase, Stored, Where } from "./mongo-database.ts";
import {
  applyEntry,
  journalId,
  nodeKey,
  readDocument,
  revisionId,
  writeDocument,
} from "./mongo-entries.ts";
import type {
  Append,
  Drawn,
  Head,
  JournalStore,
  NameSlot,
  NodeRow,
  RevisionRow,
  SpaceRow,
} from "./port.ts";
import {
  blobOf,
  integerOf,
  keyEpochOf,
  kindOf,
  orNull,
  restoresOf,
  textOf,
  unpackChunkIds,
  unpackLengths,
} from "./rows.ts";

/** How long a refusal is remembered: longer than any request may be under way. */
const REFUSAL_LIFE_MS = 24 * 60 * 60 * 1_000;

/** What one read of the journal may hold in memory, as stored. */
const MAX_READ_BYTES = 32 * 1024 * 1024;

/** How often a read begins again because entries landed while it was under way. */
const MAX_READS = 100;

/** Behind every id that begins like this. */
const END = "~";

function spaceOf(found: Stored): SpaceRow {
  const row = {
    id: spaceId(found._id),
    account: accountId(textOf(found, "account")),
    name: textOf(found, "name"),
    folding: found["folding"] === true,
    epoch: textOf(found, "epoch"),
    cutKey: textOf(found, "cutKey"),
    createdMs: integerOf(found, "createdMs"),
    ...restoresOf(found),
  };
  if (textOf(found, "kind") === "plain") return { ...row, kind: "plain" };
  const keyEpochSequence = integerOf(found, "keyEpochSequence");
  return { ...row, kind: "sealed", keyEpoch: integerOf(found, "keyEpoch"), keyEpochSequence };
}

function nodeOf(found: Stored): NodeRow {
  const lengths = orNull(blobOf, found, "lengths");
  return {
    id: nodeId(textOf(found, "id")),
    type: kindOf(found),
    parent: nodeId(textOf(found, "parent")),
    name: textOf(found, "name"),
    key: textOf(found, "key"),
    meta: textOf(found, "meta"),
    chunks: unpackChunkIds(blobOf(found, "chunks")),
    lengths: lengths === null ? undefined : unpackLengths(lengths),
    crev: integerOf(found, "crev"),
    lrev: integerOf(found, "lrev"),
    deleted: integerOf(found, "deleted") !== 0,
  };
}

function revisionOf(found: Stored): RevisionRow {
  const device = orNull(textOf, found, "device");
  return {
    ...nodeOf(found),
    sequence: integerOf(found, "sequence"),
    follows: integerOf(found, "follows"),
    timeMs: integerOf(found, "timeMs"),
    device: device === null ? undefined : deviceId(device),
  };
}

/**
 * Spaces, their journals, nodes and revisions in a MongoDB database. A journal's document has the
 * space and the sequence for its id: whoever inserts it has committed. Nodes and revisions follow
 * from it, and are brought up to it by whoever comes next, so that a process may end in between.
 *
 * A new key epoch is a **mark** in the place of the next entry, which only an entry of that epoch
 * may replace: so no entry of an old one lands after it.
 */
export class MongoJournals implements JournalStore {
  readonly #database: MongoDatabase;

  constructor(database: MongoDatabase) {
    this.#database = database;
  }

  async drawOnce(name: Drawn, drawn: string): Promise<string> {
    await this.#database.insert("drawn", { _id: name, value: drawn });
    const known = await this.drawn(name);
    assert(known !== undefined, `${name} was drawn`);
    return known;
  }

  async drawn(name: Drawn): Promise<string | undefined> {
    const found = await this.#database.one("drawn", { _id: name });
    return found && textOf(found, "value");
  }

  async createSpace(row: SpaceRow): Promise<boolean> {
    const { id, account, name, kind, folding, epoch, cutKey, createdMs } = row;
    const keys = { keyEpoch: keyEpochOf(row), keyEpochSequence: 0 };
    const journal = { head: 0, chain: CHAIN_START, restores: "[]" };
    const columns = { account, name, kind, folding, epoch, cutKey, createdMs };
    return this.#database.insert("spaces", { _id: id, ...columns, ...keys, ...journal });
  }

  async space(id: SpaceId): Promise<SpaceRow | undefined> {
    const found = await this.#current(id);
    return found && spaceOf(found);
  }

  async spaces(account: AccountId): Promise<SpaceRow[]> {
    const sort = { createdMs: 1, _id: 1 } as const;
    const found = await this.#database.many("spaces", { account }, { sort });
    return found.map(spaceOf);
  }

  async setKeyEpoch(space: SpaceId, keyEpoch: number): Promise<boolean> {
    for (let reads = 0; reads < MAX_READS; reads++) {
      const row = await this.#current(space);
      if (row === undefined || textOf(row, "kind") !== "sealed") return false;
      if (integerOf(row, "keyEpoch") !== keyEpoch - 1) return false;
      const _id = journalId(space, integerOf(row, "head") + 1);
      const mark = { commit: `mark ${_id}`, mark: keyEpoch };
      const isFirst =
        (await this.#database.insert("journal", { _id, ...mark })) ||
        (await this.#database.change("journal", { _id, mark: keyEpoch - 1 }, { $set: mark }));
      if (!isFirst) continue;
      await this.#current(space);
      return true;
    }
    throw busy();
  }

  async restart(draw: () => string, isAnnounced: boolean): Promise<number> {
    const spaces = await this.#database.many("spaces", {});
    for (const { _id } of spaces) {
      const row = await this.#expect(spaceId(_id));
      const epoch = draw();
      const head = { sequence: integerOf(row, "head"), chain: textOf(row, "chain") };
      const { restores: before } = restoresOf(row);
      const restores = isAnnounced ? withRestore(before, { epoch, ...head }) : [];
      const put = { epoch, restores: JSON.stringify(restores) };
      await this.#database.change("spaces", { _id }, { $set: put });
    }
    return spaces.length;
  }

  async head(space: SpaceId): Promise<Head> {
    const row = await this.#expect(space);
    return { sequence: integerOf(row, "head"), chain: textOf(row, "chain") };
  }

  async chainAt(space: SpaceId, sequence: number): Promise<string | undefined> {
    if (sequence === 0) return CHAIN_START;
    const found = await this.#entryAt(space, sequence);
    return found && textOf(found, "chain");
  }

  async nodes(space: SpaceId, ids: readonly NodeId[]): Promise<NodeRow[]> {
    const wanted = [...new Set(ids)].map((id) => nodeKey(space, id));
    const found = await this.#steady(space, () =>
      this.#database.many("nodes", { _id: { $in: wanted } }),
    );
    return found.map(nodeOf);
  }

  async holders(space: SpaceId, slots: readonly NameSlot[]): Promise<NodeRow[]> {
    if (slots.length === 0) return [];
    const wanted = slots.map(({ parent, key }) => `${nodeKey(space, parent)}/${key}`);
    const found = await this.#steady(space, () =>
      this.#database.many("nodes", { slot: { $in: wanted } }),
    );
    return found.map(nodeOf);
  }

  async children(
    space: SpaceId,
    parent: NodeId,
    limit: number,
    after?: NodeId,
  ): Promise<NodeRow[]> {
    if (limit === 0) return [];
    const folder = nodeKey(space, parent);
    const where: Where = after === undefined ? { folder } : { folder, id: { $gt: after } };
    const found = await this.#steady(space, () =>
      this.#database.many("nodes", where, { sort: { id: 1 }, limit }),
    );
    return found.map(nodeOf);
  }

  async changedSince(space: SpaceId, sequence: number, limit: number): Promise<NodeRow[]> {
    const sort = { changed: 1, id: 1 } as const;
    const found = await this.#steady(space, async () => {
      const where: Where = { space, changed: { $gt: sequence } };
      const rows = await this.#database.many("nodes", where, { sort, limit });
      const last = rows.at(-1);
      if (last === undefined || rows.length < limit) return rows;
      const rest: Where = { space, changed: last["changed"], id: { $gt: last["id"] } };
      return rows.concat(await this.#database.many("nodes", rest, { sort }));
    });
    return found.map(nodeOf);
  }

  async append(space: SpaceId, append: Append): Promise<"appended" | "raced" | "missing-chunks"> {
    const { entry } = append;
    const row = await this.#expect(space);
    if (integerOf(row, "head") + 1 !== entry.sequence) return "raced";
    const keyEpoch = entry.keyEpoch ?? 0;
    if (integerOf(row, "keyEpoch") !== keyEpoch) return "raced";
    if ((await this.answered(space, entry.commitId)) !== undefined) return "raced";
    if (!(await this.#holdsAll(space, entry))) return "missing-chunks";
    if (!(await this.#areFree(space, append))) {
      // By a commit that landed since, or else something is wrong.
      const now = await this.#expect(space);
      assert(integerOf(now, "head") >= entry.sequence, "names that a commit claims are free");
      return "raced";
    }
    const stored = await writeDocument(this.#database, space, append);
    const isFirst =
      (await this.#database.insert("journal", stored)) ||
      (keyEpoch > 0 && (await this.#replaceMark(stored, keyEpoch)));
    if (!isFirst) return "raced";
    await this.#current(space);
    return "appended";
  }

  async answered(space: SpaceId, commit: CommitId): Promise<CommitAnswer | undefined> {
    const key = `${space}/${commit}`;
    const accepted = await this.#database.one("journal", { commit: key });
    if (accepted !== undefined) {
      await this.#current(space);
      const [sequence, chain] = [integerOf(accepted, "sequence"), textOf(accepted, "chain")];
      return { outcome: "committed", sequence, chain };
    }
    const refused = await this.#database.one("refusals", { _id: key });
    return refused && CommitAnswer.parse(JSON.parse(textOf(refused, "answer")));
  }

  async rememberRefusal(
    space: SpaceId,
    commit: CommitId,
    answer: CommitAnswer,
    nowMs: number,
  ): Promise<void> {
    const old = { atMs: { $lt: nowMs - REFUSAL_LIFE_MS } };
    await this.#database.ask(() => this.#database.collection("refusals").deleteMany(old));
    const row = { _id: `${space}/${commit}`, answer: JSON.stringify(answer), atMs: nowMs };
    await this.#database.insert("refusals", row);
  }

  async entries(
    space: SpaceId,
    sequence: number,
    limit: number,
    limitBytes: number = MAX_READ_BYTES,
  ): Promise<Entry[]> {
    const _id = { $gt: journalId(space, sequence), $lt: `${space}/${END}` };
    const where: Where = { _id, sequence: { $gt: sequence } };
    const found = this.#database.collection("journal").find(where).sort({ _id: 1 }).limit(limit);
    const entries: Entry[] = [];
    let sizeBytes = 0;
    await this.#database.ask(async () => {
      // A few at a time: a page of long ones would not fit into memory.
      for await (const stored of found.batchSize(10)) {
        sizeBytes += integerOf(stored, "sizeBytes");
        if (entries.length > 0 && sizeBytes > limitBytes) break;
        entries.push((await readDocument(this.#database, stored)).entry);
      }
    });
    return entries;
  }

  async revisions(
    space: SpaceId,
    node: NodeId,
    before: number,
    limit: number,
  ): Promise<RevisionRow[]> {
    const _id = { $gt: `${nodeKey(space, node)}/`, $lt: revisionId(space, node, before) };
    const found = await this.#steady(space, () =>
      this.#database.many("revisions", { _id }, { sort: { _id: -1 }, limit }),
    );
    return found.map(revisionOf);
  }

  async revisionAt(
    space: SpaceId,
    node: NodeId,
    sequence: number,
  ): Promise<RevisionRow | undefined> {
    return (await this.revisions(space, node, sequence + 1, 1))[0];
  }

  async trash(space: SpaceId, before: number, limit: number): Promise<RevisionRow[]> {
    const sort = { deletedAt: -1, id: 1 } as const;
    const found = await this.#steady(space, async () => {
      const where: Where = { space, deletedAt: { $lt: before } };
      const nodes = await this.#database.many("nodes", where, { sort, limit });
      const last = nodes.at(-1);
      if (last !== undefined && nodes.length === limit) {
        const rest: Where = { space, deletedAt: last["deletedAt"], id: { $gt: last["id"] } };
        nodes.push(...(await this.#database.many("nodes", rest, { sort })));
      }
      const ids = nodes.map((node) =>
        revisionId(space, nodeId(textOf(node, "id")), integerOf(node, "deletedAt")),
      );
      const rows = await this.#database.many("revisions", { _id: { $in: ids } });
      const byId = new Map(rows.map((row) => [row._id, row]));
      return ids.map((id) => byId.get(id)).filter((row) => row !== undefined);
    });
    return found.map(revisionOf);
  }

  /** The entry of a sequence; a mark is none. */
  async #entryAt(space: SpaceId, sequence: number): Promise<Stored | undefined> {
    return this.#database.one("journal", { _id: journalId(space, sequence), sequence });
  }

  async #expect(space: SpaceId): Promise<Stored> {
    const row = await this.#current(space);
    if (row === undefined) throw new WorldError("not-found", `There is no space ${space}.`);
    return row;
  }

  /** The space's row, when everything that its journal holds has been brought to the tree. */
  async #current(space: SpaceId): Promise<Stored | undefined> {
    for (;;) {
      const row = await this.#database.one("spaces", { _id: space });
      if (row === undefined) return undefined;
      const [head, keyEpoch] = [integerOf(row, "head"), integerOf(row, "keyEpoch")];
      const next = await this.#database.one("journal", { _id: journalId(space, head + 1) });
      if (next === undefined) return row;
      const at = { _id: space, head, keyEpoch };
      if (next["mark"] === undefined) {
        await applyEntry(this.#database, space, await readDocument(this.#database, next));
        const reached = { head: head + 1, chain: textOf(next, "chain") };
        await this.#database.change("spaces", at, { $set: reached });
        continue;
      }
      const mark = integerOf(next, "mark");
      if (mark === keyEpoch) return row;
      const keys = { keyEpoch: mark, keyEpochSequence: head };
      await this.#database.change("spaces", at, { $set: keys });
    }
  }

  /**
   * Reads the tree as of one head: an entry that lands meanwhile may be half brought to the tree,
   * so that the read begins again.
   */
  async #steady<T>(space: SpaceId, read: () => Promise<T>): Promise<T | []> {
    for (let reads = 0; reads < MAX_READS; reads++) {
      const row = await this.#current(space);
      if (row === undefined) return [];
      const found = await read();
      const next = await this.#entryAt(space, integerOf(row, "head") + 1);
      if (next === undefined) return found;
    }
    throw busy();
  }

  /** Puts an entry in the place of its epoch's mark. */
  async #replaceMark({ _id, ...entry }: Stored, keyEpoch: number): Promise<boolean> {
    const mark: Where = { _id, mark: keyEpoch };
    const { matchedCount } = await this.#database.ask(() =>
      this.#database.collection("journal").replaceOne(mark, entry),
    );
    return matchedCount === 1;
  }

  async #holdsAll(space: SpaceId, entry: Entry): Promise<boolean> {
    const links = [...new Set(namedChunks(entry))].map((chunk) => linkId(space, chunk));
    const held = await inBatches(links, (some) =>
      this.#database.many("links", { _id: { $in: some } }),
    );
    return held.length === links.length;
  }

  /** The last wall: two living nodes never have one name. */
  async #areFree(space: SpaceId, { nodes }: Append): Promise<boolean> {
    const living = nodes.filter(({ deleted }) => !deleted);
    const claimed = new Set(living.map(({ parent, key }) => `${parent}/${key}`));
    assert(claimed.size === living.length, "no two nodes of a commit claim one name");
    const touched = new Set(nodes.map(({ id }) => id));
    const holders = await this.holders(space, living);
    return holders.every(({ id }) => touched.has(id));
  }
}

function busy(): WorldError {
  return new WorldError("unavailable", "This space changes too often just now: try later.", {
    retryable: true,
  });
}
