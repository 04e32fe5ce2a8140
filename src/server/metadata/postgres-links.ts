import { spaceId, type ChunkId, type SpaceId } from "#core/ids.ts";
import type { ContentKey, ContentRow, LinkCollection, LinkRow } from "./collection.ts";
import { lockSpace, type PostgresDatabase } from "./postgres-database.ts";
import { CONTENTS, contentRowOf, linkRowOf, TURN } from "./collection-rows.ts";
import { hexOf, raw } from "./rows.ts";

/** Before every id. */
const FIRST = new Uint8Array();

/**
 * What is kept of spaces' revisions, and their claims on chunks, in a PostgreSQL database. Links
 * change under their space's lock alone, as they do everywhere.
 */
export class PostgresLinks implements LinkCollection {
  readonly #database: PostgresDatabase;

  constructor(database: PostgresDatabase) {
    this.#database = database;
  }

  async takeTurn(holder: string, nowMs: number, untilMs: number): Promise<boolean> {
    const taken = await this.#database.run(
      `INSERT INTO turns (name, holder, until_ms) VALUES ($1, $2, $4)
       ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until_ms = excluded.until_ms
       WHERE turns.until_ms <= $3 OR turns.holder = excluded.holder`,
      [TURN, holder, nowMs, untilMs],
    );
    return taken === 1;
  }

  async spaces(limit: number, after?: SpaceId): Promise<SpaceId[]> {
    const rows = await this.#database.read(
      "SELECT id FROM spaces WHERE id > $1 ORDER BY id LIMIT $2",
      [after === undefined ? FIRST : raw(after), limit],
    );
    return rows.map((row) => spaceId(hexOf(row, "id")));
  }

  async contents(space: SpaceId, limit: number, after?: ContentKey): Promise<ContentRow[]> {
    const rows = await this.#database.read(
      `${CONTENTS} WHERE c.space = $1 AND (c.node, c.sequence) > ($2, $3)
       ORDER BY c.node, c.sequence LIMIT $4`,
      [raw(space), after === undefined ? FIRST : raw(after.node), after?.sequence ?? 0, limit],
    );
    return rows.map(contentRowOf);
  }

  async forget(space: SpaceId, contents: readonly ContentKey[]): Promise<number> {
    return this.#database.write(async (run) => {
      await lockSpace(run, space);
      const { changes } = await run(
        `UPDATE contents c SET chunks = '', lengths = NULL, forgotten = 1
         FROM unnest($2::bytea[], $3::bigint[]) AS w (node, sequence)
         WHERE c.space = $1 AND c.node = w.node AND c.sequence = w.sequence AND c.forgotten = 0
         AND NOT EXISTS (SELECT FROM nodes n WHERE n.space = c.space AND n.id = c.node
           AND n.content = c.sequence AND n.deleted = 0)`,
        [raw(space), contents.map(({ node }) => raw(node)), contents.map((key) => key.sequence)],
      );
      return changes;
    });
  }

  async links(space: SpaceId, limit: number, after?: ChunkId): Promise<LinkRow[]> {
    const rows = await this.#database.read(
      `SELECT l.chunk, l.lease_ms, l.touched, c.length_bytes FROM links l
       JOIN chunks c ON c.id = l.chunk
       WHERE l.space = $1 AND l.chunk > $2 ORDER BY l.chunk LIMIT $3`,
      [raw(space), after === undefined ? FIRST : raw(after), limit],
    );
    return rows.map(linkRowOf);
  }

  async condemn(
    space: SpaceId,
    chunks: readonly ChunkId[],
    { sequence, leaseMs }: { readonly sequence: number; readonly leaseMs: number },
  ): Promise<number> {
    return this.#database.write(async (run) => {
      await lockSpace(run, space);
      const { changes } = await run(
        `UPDATE links SET lease_ms = $4 WHERE space = $1 AND chunk = ANY ($2::bytea[])
         AND lease_ms IS NULL AND touched <= $3`,
        [raw(space), chunks.map(raw), sequence, leaseMs],
      );
      return changes;
    });
  }

  async revive(space: SpaceId, chunks: readonly ChunkId[]): Promise<void> {
    await this.#database.write(async (run) => {
      await lockSpace(run, space);
      await run(
        `UPDATE links SET lease_ms = NULL
         WHERE space = $1 AND chunk = ANY ($2::bytea[]) AND lease_ms IS NOT NULL`,
        [raw(space), chunks.map(raw)],
      );
    });
  }

  async sweep(space: SpaceId, nowMs: number, limit: number): Promise<number> {
    return this.#database.write(async (run) => {
      await lockSpace(run, space);
      const { changes } = await run(
        `DELETE FROM links WHERE space = $1 AND chunk IN
         (SELECT chunk FROM links WHERE space = $1 AND lease_ms <= $2 LIMIT $3)`,
        [raw(space), nowMs, limit],
      );
      return changes;
    });
  }
}
