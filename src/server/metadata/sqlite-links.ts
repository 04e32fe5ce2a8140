import { spaceId, type ChunkId, type SpaceId } from "#core/ids.ts";
import type { ContentKey, ContentRow, LinkCollection, LinkRow } from "./collection.ts";
import { CONTENTS, contentRowOf, linkRowOf, TURN } from "./collection-rows.ts";
import { hexOf, raw } from "./rows.ts";
import type { SqliteFile } from "./sqlite-file.ts";

function statements(file: SqliteFile) {
  return {
    takeTurn: file.prepare(
      `INSERT INTO turns (name, holder, until_ms) VALUES ('${TURN}', $holder, $untilMs)
       ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until_ms = excluded.until_ms
       WHERE until_ms <= $nowMs OR holder = excluded.holder`,
    ),
    spaces: file.prepare("SELECT id FROM spaces WHERE id > ? ORDER BY id LIMIT ?"),
    contents: file.prepare(
      `${CONTENTS} WHERE c.space = ? AND (c.node, c.sequence) > (?, ?)
       ORDER BY c.node, c.sequence LIMIT ?`,
    ),
    forget: file.prepare(
      `UPDATE contents SET chunks = x'', lengths = NULL, forgotten = 1
       WHERE space = ? AND node = ? AND sequence = ? AND forgotten = 0
       AND NOT EXISTS (SELECT 1 FROM nodes n WHERE n.space = contents.space
         AND n.id = contents.node AND n.content = contents.sequence AND n.deleted = 0)`,
    ),
    links: file.prepare(
      `SELECT l.chunk, l.lease_ms, l.touched, c.length_bytes FROM links l
       JOIN chunks c ON c.id = l.chunk
       WHERE l.space = ? AND l.chunk > ? ORDER BY l.chunk LIMIT ?`,
    ),
    condemn: file.prepare(
      `UPDATE links SET lease_ms = ?
       WHERE space = ? AND chunk = ? AND lease_ms IS NULL AND touched <= ?`,
    ),
    revive: file.prepare("UPDATE links SET lease_ms = NULL WHERE space = ? AND chunk = ?"),
    sweep: file.prepare(
      `DELETE FROM links WHERE space = $space AND chunk IN
       (SELECT chunk FROM links WHERE space = $space AND lease_ms <= $nowMs LIMIT $limit)`,
    ),
  };
}

/** Before every id. */
const FIRST = new Uint8Array();

/** What is kept of spaces' revisions, and their claims on chunks, in a SQLite file. */
export class SqliteLinks implements LinkCollection {
  readonly #file: SqliteFile;
  readonly #sql: ReturnType<typeof statements>;

  constructor(file: SqliteFile) {
    this.#file = file;
    this.#sql = statements(file);
  }

  async takeTurn(holder: string, nowMs: number, untilMs: number): Promise<boolean> {
    const { changes } = this.#file.write(() => this.#sql.takeTurn.run({ holder, nowMs, untilMs }));
    return changes === 1;
  }

  async spaces(limit: number, after?: SpaceId): Promise<SpaceId[]> {
    const from = after === undefined ? FIRST : raw(after);
    const rows = this.#file.read(() => this.#sql.spaces.all(from, limit));
    return rows.map((row) => spaceId(hexOf(row, "id")));
  }

  async contents(space: SpaceId, limit: number, after?: ContentKey): Promise<ContentRow[]> {
    const node = after === undefined ? FIRST : raw(after.node);
    const sequence = after?.sequence ?? 0;
    return this.#file.read(() =>
      this.#sql.contents.all(raw(space), node, sequence, limit).map(contentRowOf),
    );
  }

  async forget(space: SpaceId, contents: readonly ContentKey[]): Promise<number> {
    const owner = raw(space);
    return this.#file.write(() => {
      let forgotten = 0;
      for (const { node, sequence } of contents) {
        forgotten += Number(this.#sql.forget.run(owner, raw(node), sequence).changes);
      }
      return forgotten;
    });
  }

  async links(space: SpaceId, limit: number, after?: ChunkId): Promise<LinkRow[]> {
    const from = after === undefined ? FIRST : raw(after);
    return this.#file.read(() => this.#sql.links.all(raw(space), from, limit).map(linkRowOf));
  }

  async condemn(
    space: SpaceId,
    chunks: readonly ChunkId[],
    { sequence, leaseMs }: { readonly sequence: number; readonly leaseMs: number },
  ): Promise<number> {
    const owner = raw(space);
    return this.#file.write(() => {
      let condemned = 0;
      for (const chunk of chunks) {
        condemned += Number(this.#sql.condemn.run(leaseMs, owner, raw(chunk), sequence).changes);
      }
      return condemned;
    });
  }

  async revive(space: SpaceId, chunks: readonly ChunkId[]): Promise<void> {
    const owner = raw(space);
    this.#file.write(() => {
      for (const chunk of chunks) this.#sql.revive.run(owner, raw(chunk));
    });
  }

  async sweep(space: SpaceId, nowMs: number, limit: number): Promise<number> {
    const asked = { space: raw(space), nowMs, limit };
    return Number(this.#file.write(() => this.#sql.sweep.run(asked)).changes);
  }
}
