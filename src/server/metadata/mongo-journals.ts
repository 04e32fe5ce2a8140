import { assert } from "#core/assert.ts";
import {
  accountId,
  nodeId,
  spaceId,
  type AccountId,
  type CommitId,
  type NodeId,
  type SpaceId,
} from "#core/ids.ts";
import { CHAIN_START } from "#protocol/chain.ts";
import type { CommitAnswer } from "#protocol/commit.ts";
import type { Entry } from "#protocol/feed.ts";
import { committed, MAX_READ_BYTES, REFUSAL_LIFE_MS, refusalOf, restoresAfter } from "./answers.ts";
import { changing } from "./chunk-rows.ts";
import { namedChunks } from "./entries.ts";
import { heldPlaces } from "./mongo-chunks.ts";
import type { MongoDatabase, Stored, Where } from "./mongo-database.ts";
import { journalId, nodeKey, readDocument, revisionId, writeDocument } from "./mongo-entries.ts";
import { MAX_READS, MongoHeads } from "./mongo-heads.ts";
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
  integerOf,
  keyEpochOf,
  nodeOfDocument,
  restoresOf,
  revisionOfDocument,
  textOf,
} from "./rows.ts";

/** Behind every id that begins like this. */
const END = "~";

function headOf(row: Stored): Head {
  return { sequence: integerOf(row, "head"), chain: textOf(row, "chain") };
}

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

/**
 * Spaces, their journals, nodes and revisions in a MongoDB database. A journal's document has the
 * space and the sequence for its id: whoever inserts it has committed. Nodes and revisions follow
 * from it, and are brought up to it by whoever comes next, so that a process may end in between.
 *
 * A new key epoch is a **mark** in the place of the next entry, which only an entry of that epoch
 * may replace: so no entry of an old one lands after it. A collector takes its turn by one, too: an
 * entry replaces a mark only as it was when the entry's chunks were looked for.
 */
export class MongoJournals implements JournalStore {
  readonly #database: MongoDatabase;
  readonly #heads: MongoHeads;

  constructor(database: MongoDatabase) {
    this.#database = database;
    this.#heads = new MongoHeads(database);
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
    const found = await this.#heads.current(id);
    return found && spaceOf(found);
  }

  async spaces(account: AccountId): Promise<SpaceRow[]> {
    const sort = { createdMs: 1, _id: 1 } as const;
    const found = await this.#database.many("spaces", { account }, { sort });
    return found.map(spaceOf);
  }

  async setKeyEpoch(space: SpaceId, keyEpoch: number): Promise<boolean> {
    for (let reads = 0; reads < MAX_READS; reads++) {
      const row = await this.#heads.current(space);
      if (row === undefined || textOf(row, "kind") !== "sealed") return false;
      if (integerOf(row, "keyEpoch") !== keyEpoch - 1) return false;
      const _id = journalId(space, integerOf(row, "head") + 1);
      const mark = { commit: `mark ${_id}`, mark: keyEpoch };
      const isFirst =
        (await this.#database.insert("journal", { _id, ...mark })) ||
        (await this.#database.change("journal", { _id, mark: keyEpoch - 1 }, { $set: mark }));
      if (!isFirst) continue;
      await this.#heads.current(space);
      return true;
    }
    throw changing();
  }

  async restart(draw: () => string, isAnnounced: boolean): Promise<number> {
    const spaces = await this.#database.many("spaces", {});
    for (const { _id } of spaces) {
      const row = await this.#heads.expect(spaceId(_id));
      const epoch = draw();
      const restores = isAnnounced ? restoresAfter(row, { ...headOf(row), epoch }) : "[]";
      await this.#database.change("spaces", { _id }, { $set: { epoch, restores } });
    }
    return spaces.length;
  }

  async head(space: SpaceId): Promise<Head> {
    return headOf(await this.#heads.expect(space));
  }

  async chainAt(space: SpaceId, sequence: number): Promise<string | undefined> {
    if (sequence === 0) return CHAIN_START;
    const found = await this.#heads.entryAt(space, sequence);
    return found && textOf(found, "chain");
  }

  async nodes(space: SpaceId, ids: readonly NodeId[]): Promise<NodeRow[]> {
    const wanted = [...new Set(ids)].map((id) => nodeKey(space, id));
    const found = await this.#heads.steady(space, () =>
      this.#database.many("nodes", { _id: { $in: wanted } }),
    );
    return found.map(nodeOfDocument);
  }

  async holders(space: SpaceId, slots: readonly NameSlot[]): Promise<NodeRow[]> {
    if (slots.length === 0) return [];
    const wanted = slots.map(({ parent, key }) => `${nodeKey(space, parent)}/${key}`);
    const found = await this.#heads.steady(space, () =>
      this.#database.many("nodes", { slot: { $in: wanted } }),
    );
    return found.map(nodeOfDocument);
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
    const found = await this.#heads.steady(space, () =>
      this.#database.many("nodes", where, { sort: { id: 1 }, limit }),
    );
    return found.map(nodeOfDocument);
  }

  async changedSince(space: SpaceId, sequence: number, limit: number): Promise<NodeRow[]> {
    const sort = { changed: 1, id: 1 } as const;
    const found = await this.#heads.steady(space, async () => {
      const where: Where = { space, changed: { $gt: sequence } };
      const rows = await this.#database.many("nodes", where, { sort, limit });
      const last = rows.at(-1);
      if (last === undefined || rows.length < limit) return rows;
      const rest: Where = { space, changed: last["changed"], id: { $gt: last["id"] } };
      return rows.concat(await this.#database.many("nodes", rest, { sort }));
    });
    return found.map(nodeOfDocument);
  }

  async append(space: SpaceId, append: Append): Promise<"appended" | "raced" | "missing-chunks"> {
    const { entry } = append;
    // Before anything is looked at that the entry takes for granted: a collector's turn in between
    // makes it race.
    const place = await this.#heads.expectPlace(space);
    const { row } = place;
    if (integerOf(row, "head") + 1 !== entry.sequence) return "raced";
    if (integerOf(row, "keyEpoch") !== (entry.keyEpoch ?? 0)) return "raced";
    if ((await this.answered(space, entry.commitId)) !== undefined) return "raced";
    const named = [...new Set(namedChunks(entry))];
    const held = await heldPlaces(this.#database, space, named);
    if (held.length < named.length) return "missing-chunks";
    if (!(await this.#areFree(space, append))) {
      // By a commit that landed since, or else something is wrong.
      const now = await this.#heads.expect(space);
      assert(integerOf(now, "head") >= entry.sequence, "names that a commit claims are free");
      return "raced";
    }
    const stored = await writeDocument(this.#database, space, append);
    if (!(await this.#heads.take(place, stored))) return "raced";
    await this.#heads.current(space);
    return "appended";
  }

  async answered(space: SpaceId, commit: CommitId): Promise<CommitAnswer | undefined> {
    const key = `${space}/${commit}`;
    const found = await this.#database.one("journal", { commit: key });
    if (found === undefined || found["answer"] !== undefined) return found && refusalOf(found);
    await this.#heads.current(space);
    return committed({ sequence: integerOf(found, "sequence"), chain: textOf(found, "chain") });
  }

  async rememberRefusal(
    space: SpaceId,
    commit: CommitId,
    answer: CommitAnswer,
    nowMs: number,
  ): Promise<void> {
    const past = { atMs: { $lt: nowMs - REFUSAL_LIFE_MS } };
    await this.#database.ask(() => this.#database.collection("journal").deleteMany(past));
    // Beside the entries, where one commit id stands once: it is refused or lands.
    const key = `${space}/${commit}`;
    const row = { answer: JSON.stringify(answer), atMs: nowMs };
    await this.#database.insert("journal", { _id: `refusal ${key}`, commit: key, ...row });
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
    const found = await this.#heads.steady(space, () =>
      this.#database.many("revisions", { _id }, { sort: { _id: -1 }, limit }),
    );
    return found.map(revisionOfDocument);
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
    const found = await this.#heads.steady(space, async () => {
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
    return found.map(revisionOfDocument);
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
