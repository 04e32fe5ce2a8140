import type { AccountId, CommitId, NodeId, SpaceId } from "#core/ids.ts";
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
} from "./port.ts";
import {
  committed,
  MAX_READ_BYTES,
  noSpace,
  REFUSAL_LIFE_MS,
  refusalOf,
  restoresAfter,
} from "./answers.ts";
import { SqliteAppender } from "./sqlite-append.ts";
import { readEntry } from "./entries.ts";
import type { SqliteFile } from "./sqlite-file.ts";
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

function reading(file: SqliteFile) {
  return {
    space: file.prepare("SELECT * FROM spaces WHERE id = ?"),
    everySpace: file.prepare("SELECT * FROM spaces"),
    spaces: file.prepare("SELECT * FROM spaces WHERE account = ? ORDER BY created_ms, id"),
    keyEpoch: file.prepare("SELECT key_epoch FROM spaces WHERE id = ?"),
    head: file.prepare("SELECT head, chain FROM spaces WHERE id = ?"),
    chainAt: file.prepare("SELECT chain FROM journal WHERE space = ? AND sequence = ?"),
    accepted: file.prepare("SELECT sequence, chain FROM journal WHERE space = ? AND commit_id = ?"),
    drawn: file.prepare("SELECT value FROM drawn WHERE name = ?"),
    refused: file.prepare("SELECT answer FROM refusals WHERE space = ? AND commit_id = ?"),
    entries: file.prepare(
      `SELECT entry, chunks FROM journal WHERE space = ? AND sequence > ?
       ORDER BY sequence LIMIT ?`,
    ),
    node: file.prepare(`${NODES} WHERE n.space = ? AND n.id = ?`),
    holder: file.prepare(
      `${NODES} WHERE n.space = ? AND n.parent = ? AND n.key = ? AND n.deleted = 0`,
    ),
    // Left to itself SQLite walks the primary key, past every node of the space.
    children: file.prepare(
      `${NODES.replace("nodes n", "nodes n INDEXED BY nodes_child")}
       WHERE n.space = ? AND n.parent = ? AND n.deleted = 0 AND n.id > ?
       ORDER BY n.id LIMIT ?`,
    ),
    changed: file.prepare(
      `${NODES} WHERE n.space = ? AND n.changed > ? ORDER BY n.changed, n.id LIMIT ?`,
    ),
    changedAt: file.prepare(
      `${NODES} WHERE n.space = ? AND n.changed = ? AND n.id > ? ORDER BY n.id`,
    ),
    revisions: file.prepare(
      `${REVISIONS} WHERE n.space = ? AND n.id = ? AND n.sequence < ?
       ORDER BY n.sequence DESC LIMIT ?`,
    ),
    trash: file.prepare(
      `${TOMBSTONES} WHERE n.space = ? AND n.deleted = 1 AND n.changed < ?
       ORDER BY n.changed DESC, n.id LIMIT ?`,
    ),
    trashAt: file.prepare(
      `${TOMBSTONES} WHERE n.space = ? AND n.deleted = 1 AND n.changed = ? AND n.id > ?
       ORDER BY n.id`,
    ),
  };
}

function writing(file: SqliteFile) {
  return {
    addDrawn: file.prepare(
      "INSERT INTO drawn (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING",
    ),
    addSpace: file.prepare(
      `INSERT INTO spaces
       (id, account, name, kind, folding, epoch, cut_key, created_ms, head, chain, key_epoch)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?) ON CONFLICT DO NOTHING`,
    ),
    setKeyEpoch: file.prepare(
      `UPDATE spaces SET key_epoch = $next, key_epoch_sequence = head
       WHERE id = $id AND kind = 'sealed' AND key_epoch = $next - 1`,
    ),
    restart: file.prepare("UPDATE spaces SET epoch = $epoch, restores = $restores WHERE id = $id"),
    addRefusal: file.prepare(
      `INSERT INTO refusals (space, commit_id, answer, at_ms) VALUES (?, ?, ?, ?)
       ON CONFLICT (space, commit_id) DO NOTHING`,
    ),
    forgetRefusals: file.prepare("DELETE FROM refusals WHERE at_ms < ?"),
  };
}

/** Spaces, their journals, nodes and revisions in a SQLite file. */
export class SqliteJournals implements JournalStore {
  readonly #file: SqliteFile;
  readonly #read: ReturnType<typeof reading>;
  readonly #write: ReturnType<typeof writing>;
  readonly #appender: SqliteAppender;

  constructor(file: SqliteFile) {
    this.#file = file;
    this.#read = reading(file);
    this.#write = writing(file);
    this.#appender = new SqliteAppender(file);
  }

  async drawOnce(name: Drawn, drawn: string): Promise<string> {
    return this.#file.write(() => {
      this.#write.addDrawn.run(name, drawn);
      return textOf(this.#read.drawn.get(name) ?? {}, "value");
    });
  }

  async drawn(name: Drawn): Promise<string | undefined> {
    const row = this.#file.read(() => this.#read.drawn.get(name));
    return row && textOf(row, "value");
  }

  async createSpace(row: SpaceRow): Promise<boolean> {
    const { name, kind, folding, epoch, cutKey, createdMs } = row;
    const [id, account, chain] = [raw(row.id), raw(row.account), raw(CHAIN_START)];
    return this.#file.write(() => {
      const { addSpace } = this.#write;
      const flag = folding ? 1 : 0;
      const { changes } = addSpace.run(
        id,
        account,
        name,
        kind,
        flag,
        epoch,
        cutKey,
        createdMs,
        chain,
        keyEpochOf(row),
      );
      return changes === 1;
    });
  }

  async space(id: SpaceId): Promise<SpaceRow | undefined> {
    const row = this.#file.read(() => this.#read.space.get(raw(id)));
    return row && spaceOf(row);
  }

  async spaces(account: AccountId): Promise<SpaceRow[]> {
    return this.#file.read(() => this.#read.spaces.all(raw(account)).map(spaceOf));
  }

  async setKeyEpoch(space: SpaceId, keyEpoch: number): Promise<boolean> {
    return this.#file.write(() => {
      const { changes } = this.#write.setKeyEpoch.run({ id: raw(space), next: keyEpoch });
      return changes === 1;
    });
  }

  async restart(draw: () => string, isAnnounced: boolean): Promise<number> {
    return this.#file.write(() => {
      const rows = this.#read.everySpace.all();
      for (const row of rows) {
        const epoch = draw();
        const restores = isAnnounced ? restoresAfter(row, { ...headOf(row), epoch }) : "[]";
        this.#write.restart.run({ id: raw(hexOf(row, "id")), epoch, restores });
      }
      return rows.length;
    });
  }

  async head(space: SpaceId): Promise<Head> {
    return this.#file.read(() => this.#head(space));
  }

  async chainAt(space: SpaceId, sequence: number): Promise<string | undefined> {
    if (sequence === 0) return CHAIN_START;
    const row = this.#file.read(() => this.#read.chainAt.get(raw(space), sequence));
    return row && hexOf(row, "chain");
  }

  async nodes(space: SpaceId, ids: readonly NodeId[]): Promise<NodeRow[]> {
    const owner = raw(space);
    return this.#file.read(() =>
      Array.from(new Set(ids), (id) => this.#read.node.get(owner, raw(id)))
        .filter((row) => row !== undefined)
        .map(nodeOf),
    );
  }

  async holders(space: SpaceId, slots: readonly NameSlot[]): Promise<NodeRow[]> {
    const owner = raw(space);
    return this.#file.read(() =>
      slots
        .map(({ parent, key }) => this.#read.holder.get(owner, raw(parent), key))
        .filter((row) => row !== undefined)
        .map(nodeOf),
    );
  }

  async children(
    space: SpaceId,
    parent: NodeId,
    limit: number,
    after?: NodeId,
  ): Promise<NodeRow[]> {
    const from = after === undefined ? new Uint8Array() : raw(after);
    return this.#file.read(() =>
      this.#read.children.all(raw(space), raw(parent), from, limit).map(nodeOf),
    );
  }

  async changedSince(space: SpaceId, sequence: number, limit: number): Promise<NodeRow[]> {
    const owner = raw(space);
    return this.#file.read(() => {
      const rows = this.#read.changed.all(owner, sequence, limit).map(nodeOf);
      const last = rows.at(-1);
      if (last === undefined || rows.length < limit) return rows;
      const at = Math.max(last.crev, last.lrev);
      return rows.concat(this.#read.changedAt.all(owner, at, raw(last.id)).map(nodeOf));
    });
  }

  async append(space: SpaceId, append: Append): Promise<"appended" | "raced" | "missing-chunks"> {
    const owner = raw(space);
    return this.#file.write(() => {
      const { entry } = append;
      if (this.#head(space).sequence + 1 !== entry.sequence) return "raced";
      if (this.#keyEpoch(owner) !== (entry.keyEpoch ?? 0)) return "raced";
      if (this.#answered(owner, entry.commitId) !== undefined) return "raced";
      return this.#appender.append(owner, append);
    });
  }

  async answered(space: SpaceId, commit: CommitId): Promise<CommitAnswer | undefined> {
    return this.#file.read(() => this.#answered(raw(space), commit));
  }

  async rememberRefusal(
    space: SpaceId,
    commit: CommitId,
    answer: CommitAnswer,
    nowMs: number,
  ): Promise<void> {
    this.#file.write(() => {
      this.#write.forgetRefusals.run(nowMs - REFUSAL_LIFE_MS);
      this.#write.addRefusal.run(raw(space), raw(commit), JSON.stringify(answer), nowMs);
    });
  }

  async entries(
    space: SpaceId,
    sequence: number,
    limit: number,
    limitBytes: number = MAX_READ_BYTES,
  ): Promise<Entry[]> {
    return this.#file.read(() => {
      const entries: Entry[] = [];
      let sizeBytes = 0;
      for (const row of this.#read.entries.iterate(raw(space), sequence, limit)) {
        const [text, chunks] = [textOf(row, "entry"), blobOf(row, "chunks")];
        sizeBytes += text.length + chunks.length * 2;
        if (entries.length > 0 && sizeBytes > limitBytes) break;
        entries.push(readEntry(text, chunks));
      }
      return entries;
    });
  }

  async revisions(
    space: SpaceId,
    node: NodeId,
    before: number,
    limit: number,
  ): Promise<RevisionRow[]> {
    return this.#file.read(() =>
      this.#read.revisions.all(raw(space), raw(node), before, limit).map(revisionOf),
    );
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
    return this.#file.read(() => {
      const rows = this.#read.trash.all(owner, before, limit).map(revisionOf);
      const last = rows.at(-1);
      if (last === undefined || rows.length < limit) return rows;
      const rest = this.#read.trashAt.all(owner, last.sequence, raw(last.id));
      return rows.concat(rest.map(revisionOf));
    });
  }

  #head(space: SpaceId): Head {
    const row = this.#read.head.get(raw(space));
    if (row === undefined) throw noSpace(space);
    return headOf(row);
  }

  #keyEpoch(owner: Uint8Array): number {
    return integerOf(this.#read.keyEpoch.get(owner) ?? {}, "key_epoch");
  }

  #answered(owner: Uint8Array, commit: CommitId): CommitAnswer | undefined {
    const accepted = this.#read.accepted.get(owner, raw(commit));
    if (accepted !== undefined) return committed(landedOf(accepted));
    const refused = this.#read.refused.get(owner, raw(commit));
    return refused && refusalOf(refused);
  }
}
