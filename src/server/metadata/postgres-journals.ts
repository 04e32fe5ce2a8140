import { assert } from "#core/assert.ts";
import type { AccountId, CommitId, NodeId, SpaceId } from "#core/ids.ts";
import { CHAIN_START } from "#protocol/chain.ts";
import type { CommitAnswer } from "#protocol/commit.ts";
import type { Entry } from "#protocol/feed.ts";
import {
  committed,
  MAX_READ_BYTES,
  noSpace,
  REFUSAL_LIFE_MS,
  refusalOf,
  restoresAfter,
} from "./answers.ts";
import { readEntry } from "./entries.ts";
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
import { appendTo } from "./postgres-append.ts";
import { lockSpace, type PostgresDatabase, type Run } from "./postgres-database.ts";
import {
  blobOf,
  headOf,
  hexOf,
  landedOf,
  integerOf,
  keyEpochOf,
  nodeOf,
  NODES,
  raw,
  revisionOf,
  REVISIONS,
  spaceOf,
  textOf,
  TOMBSTONES,
} from "./rows.ts";

/** Refusals that are forgotten at a time. */
const MAX_FORGOTTEN = 1_000;

/** Spaces, their journals, nodes and revisions in a PostgreSQL database. */
export class PostgresJournals implements JournalStore {
  readonly #database: PostgresDatabase;

  constructor(database: PostgresDatabase) {
    this.#database = database;
  }

  async drawOnce(name: Drawn, drawn: string): Promise<string> {
    await this.#database.run(
      "INSERT INTO drawn (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
      [name, drawn],
    );
    const known = await this.drawn(name);
    assert(known !== undefined, `${name} was drawn`);
    return known;
  }

  async drawn(name: Drawn): Promise<string | undefined> {
    const [row] = await this.#database.read("SELECT value FROM drawn WHERE name = $1", [name]);
    return row && textOf(row, "value");
  }

  async createSpace(row: SpaceRow): Promise<boolean> {
    const { id, account, name, kind, folding, epoch, cutKey, createdMs } = row;
    const added = await this.#database.run(
      `INSERT INTO spaces
       (id, account, name, kind, folding, epoch, cut_key, created_ms, head, chain, key_epoch)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, $9, $10) ON CONFLICT DO NOTHING`,
      [
        raw(id),
        raw(account),
        name,
        kind,
        folding ? 1 : 0,
        epoch,
        cutKey,
        createdMs,
        raw(CHAIN_START),
        keyEpochOf(row),
      ],
    );
    return added === 1;
  }

  async space(id: SpaceId): Promise<SpaceRow | undefined> {
    const [row] = await this.#database.read("SELECT * FROM spaces WHERE id = $1", [raw(id)]);
    return row && spaceOf(row);
  }

  async spaces(account: AccountId): Promise<SpaceRow[]> {
    const rows = await this.#database.read(
      "SELECT * FROM spaces WHERE account = $1 ORDER BY created_ms, id",
      [raw(account)],
    );
    return rows.map(spaceOf);
  }

  async setKeyEpoch(space: SpaceId, keyEpoch: number): Promise<boolean> {
    const moved = await this.#database.run(
      `UPDATE spaces SET key_epoch = $2, key_epoch_sequence = head
       WHERE id = $1 AND kind = 'sealed' AND key_epoch = $2::integer - 1`,
      [raw(space), keyEpoch],
    );
    return moved === 1;
  }

  async restart(draw: () => string, isAnnounced: boolean): Promise<number> {
    return this.#database.write(async (run) => {
      const { rows } = await run("SELECT * FROM spaces ORDER BY id FOR NO KEY UPDATE");
      for (const row of rows) {
        const epoch = draw();
        const restores = isAnnounced ? restoresAfter(row, { ...headOf(row), epoch }) : "[]";
        const values = [raw(hexOf(row, "id")), epoch, restores];
        await run("UPDATE spaces SET epoch = $2, restores = $3 WHERE id = $1", values);
      }
      return rows.length;
    });
  }

  async head(space: SpaceId): Promise<Head> {
    const sql = "SELECT head, chain FROM spaces WHERE id = $1";
    const [row] = await this.#database.read(sql, [raw(space)]);
    if (row === undefined) throw noSpace(space);
    return headOf(row);
  }

  async chainAt(space: SpaceId, sequence: number): Promise<string | undefined> {
    if (sequence === 0) return CHAIN_START;
    const [row] = await this.#database.read(
      "SELECT chain FROM journal WHERE space = $1 AND sequence = $2",
      [raw(space), sequence],
    );
    return row && hexOf(row, "chain");
  }

  async nodes(space: SpaceId, ids: readonly NodeId[]): Promise<NodeRow[]> {
    if (ids.length === 0) return [];
    const rows = await this.#database.read(
      `${NODES} WHERE n.space = $1 AND n.id = ANY ($2::bytea[])`,
      [raw(space), [...new Set(ids)].map(raw)],
    );
    return rows.map(nodeOf);
  }

  async holders(space: SpaceId, slots: readonly NameSlot[]): Promise<NodeRow[]> {
    if (slots.length === 0) return [];
    const rows = await this.#database.read(
      `${NODES}
       JOIN unnest($2::bytea[], $3::text[]) AS w (parent, key)
         ON n.parent = w.parent AND n.key = w.key
       WHERE n.space = $1 AND n.deleted = 0`,
      [raw(space), slots.map(({ parent }) => raw(parent)), slots.map(({ key }) => key)],
    );
    return rows.map(nodeOf);
  }

  async children(
    space: SpaceId,
    parent: NodeId,
    limit: number,
    after?: NodeId,
  ): Promise<NodeRow[]> {
    const from = after === undefined ? new Uint8Array() : raw(after);
    const rows = await this.#database.read(
      `${NODES} WHERE n.space = $1 AND n.parent = $2 AND n.deleted = 0 AND n.id > $3
       ORDER BY n.id LIMIT $4`,
      [raw(space), raw(parent), from, limit],
    );
    return rows.map(nodeOf);
  }

  async changedSince(space: SpaceId, sequence: number, limit: number): Promise<NodeRow[]> {
    const owner = raw(space);
    const found = await this.#database.read(
      `${NODES} WHERE n.space = $1 AND n.changed > $2 ORDER BY n.changed, n.id LIMIT $3`,
      [owner, sequence, limit],
    );
    const rows = found.map(nodeOf);
    const last = rows.at(-1);
    if (last === undefined || rows.length < limit) return rows;
    // What has moved on since comes behind a later sequence.
    const rest = await this.#database.read(
      `${NODES} WHERE n.space = $1 AND n.changed = $2 AND n.id > $3 ORDER BY n.id`,
      [owner, Math.max(last.crev, last.lrev), raw(last.id)],
    );
    return rows.concat(rest.map(nodeOf));
  }

  async append(space: SpaceId, append: Append): Promise<"appended" | "raced" | "missing-chunks"> {
    const { entry } = append;
    return this.#database.write(async (run) => {
      const row = await lockSpace(run, space);
      if (integerOf(row, "head") + 1 !== entry.sequence) return "raced";
      if (integerOf(row, "key_epoch") !== (entry.keyEpoch ?? 0)) return "raced";
      if ((await answerOf(run, space, entry.commitId)) !== undefined) return "raced";
      return appendTo(run, space, append);
    });
  }

  async answered(space: SpaceId, commit: CommitId): Promise<CommitAnswer | undefined> {
    const run: Run = async (sql, values) => ({
      rows: await this.#database.read(sql, values),
      changes: 0,
    });
    return answerOf(run, space, commit);
  }

  async rememberRefusal(
    space: SpaceId,
    commit: CommitId,
    answer: CommitAnswer,
    nowMs: number,
  ): Promise<void> {
    await this.#database.write(async (run) => {
      // No append may be under way: it would not see the refusal.
      await lockSpace(run, space);
      await run(
        `DELETE FROM refusals WHERE (space, commit_id) IN (
           SELECT space, commit_id FROM refusals WHERE at_ms < $1 LIMIT $2
           FOR UPDATE SKIP LOCKED)`,
        [nowMs - REFUSAL_LIFE_MS, MAX_FORGOTTEN],
      );
      await run(
        `INSERT INTO refusals (space, commit_id, answer, at_ms) VALUES ($1, $2, $3, $4)
         ON CONFLICT (space, commit_id) DO NOTHING`,
        [raw(space), raw(commit), JSON.stringify(answer), nowMs],
      );
    });
  }

  async entries(
    space: SpaceId,
    sequence: number,
    limit: number,
    limitBytes: number = MAX_READ_BYTES,
  ): Promise<Entry[]> {
    // Sizes are known without reading what they are of.
    const rows = await this.#database.read(
      `SELECT entry, chunks FROM (
         SELECT sequence, entry, chunks,
           sum(octet_length(entry) + 2 * octet_length(chunks)) OVER (ORDER BY sequence) AS total
         FROM journal WHERE space = $1 AND sequence > $2 ORDER BY sequence LIMIT $3) j
       WHERE total <= $4 OR sequence = $2::bigint + 1 ORDER BY sequence`,
      [raw(space), sequence, limit, limitBytes],
    );
    return rows.map((row) => readEntry(textOf(row, "entry"), blobOf(row, "chunks")));
  }

  async revisions(
    space: SpaceId,
    node: NodeId,
    before: number,
    limit: number,
  ): Promise<RevisionRow[]> {
    const rows = await this.#database.read(
      `${REVISIONS} WHERE n.space = $1 AND n.id = $2 AND n.sequence < $3
       ORDER BY n.sequence DESC LIMIT $4`,
      [raw(space), raw(node), before, limit],
    );
    return rows.map(revisionOf);
  }

  async revisionAt(
    space: SpaceId,
    node: NodeId,
    sequence: number,
  ): Promise<RevisionRow | undefined> {
    const rows = await this.revisions(space, node, sequence + 1, 1);
    return rows[0];
  }

  async trash(space: SpaceId, before: number, limit: number): Promise<RevisionRow[]> {
    const owner = raw(space);
    const found = await this.#database.read(
      `${TOMBSTONES} WHERE n.space = $1 AND n.deleted = 1 AND n.changed < $2
       ORDER BY n.changed DESC, n.id LIMIT $3`,
      [owner, before, limit],
    );
    const rows = found.map(revisionOf);
    const last = rows.at(-1);
    if (last === undefined || rows.length < limit) return rows;
    const rest = await this.#database.read(
      `${TOMBSTONES} WHERE n.space = $1 AND n.deleted = 1 AND n.changed = $2 AND n.id > $3
       ORDER BY n.id`,
      [owner, last.sequence, raw(last.id)],
    );
    return rows.concat(rest.map(revisionOf));
  }
}

async function answerOf(
  run: Run,
  space: SpaceId,
  commit: CommitId,
): Promise<CommitAnswer | undefined> {
  const { rows } = await run(
    `SELECT sequence, chain, NULL AS answer FROM journal WHERE space = $1 AND commit_id = $2
     UNION ALL SELECT 0, NULL, answer FROM refusals WHERE space = $1 AND commit_id = $2`,
    [raw(space), raw(commit)],
  );
  const accepted = rows.find((row) => integerOf(row, "sequence") > 0);
  if (accepted !== undefined) return committed(landedOf(accepted));
  const [refused] = rows;
  return refused && refusalOf(refused);
}
