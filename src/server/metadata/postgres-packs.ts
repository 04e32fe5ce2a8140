import type { ChunkId } from "#core/ids.ts";
import type { Moved, PackCollection, PackRow, StoredChunk } from "./collection.ts";
import type { PostgresDatabase } from "./postgres-database.ts";
import { packRowOf, storedOf } from "./collection-rows.ts";
import { integerOf, raw, textOf } from "./rows.ts";

const EMPTY = "NOT EXISTS (SELECT FROM chunks c WHERE c.pack = p.number)";

/** Packs, and chunks that nobody holds, in a PostgreSQL database. */
export class PostgresPacks implements PackCollection {
  readonly #database: PostgresDatabase;

  constructor(database: PostgresDatabase) {
    this.#database = database;
  }

  async unheld(limit: number, after?: ChunkId) {
    const rows = await this.#database.read(
      `SELECT c.id, c.length_bytes,
         (EXISTS (SELECT FROM links l WHERE l.chunk = c.id))::integer AS held
       FROM chunks c WHERE c.id > $1 ORDER BY c.id LIMIT $2`,
      [after === undefined ? new Uint8Array() : raw(after), limit],
    );
    const last = rows.length < limit ? undefined : rows.at(-1);
    return {
      chunks: rows.filter((row) => integerOf(row, "held") === 0).map(storedOf),
      next: last === undefined ? null : storedOf(last).id,
    };
  }

  /** Locked before it looks: nobody can begin to hold them then, and who has begun is passed by. */
  async removeUnheld(ids: readonly ChunkId[]): Promise<readonly StoredChunk[]> {
    return this.#database.write(async (run) => {
      const locked = await run(
        `SELECT id, length_bytes FROM chunks WHERE id = ANY ($1::bytea[])
         ORDER BY id FOR UPDATE SKIP LOCKED`,
        [ids.map(raw)],
      );
      const { rows } = await run(
        `DELETE FROM chunks c WHERE c.id = ANY ($1::bytea[])
         AND NOT EXISTS (SELECT FROM links l WHERE l.chunk = c.id)
         RETURNING c.id, c.length_bytes`,
        [locked.rows.map((row) => raw(storedOf(row).id))],
      );
      return rows.map(storedOf);
    });
  }

  async packs(limit: number, after = ""): Promise<PackRow[]> {
    const rows = await this.#database.read(
      `SELECT p.name, p.size_bytes, p.doomed_ms, count(c.id) AS chunks,
         coalesce(sum(c.length_bytes), 0)::bigint AS live_bytes
       FROM (SELECT * FROM packs WHERE name > $1 ORDER BY name LIMIT $2) p
       LEFT JOIN chunks c ON c.pack = p.number
       GROUP BY p.name, p.size_bytes, p.doomed_ms ORDER BY p.name`,
      [after, limit],
    );
    return rows.map(packRowOf);
  }

  async move(
    to: { readonly name: string; readonly sizeBytes: number },
    moved: readonly Moved[],
  ): Promise<number> {
    return this.#database.write(async (run) => {
      const added = await run(
        "INSERT INTO packs (name, size_bytes) VALUES ($1, $2) RETURNING number",
        [to.name, to.sizeBytes],
      );
      const { changes } = await run(
        `UPDATE chunks c SET pack = $1, offset_bytes = w.to_bytes
         FROM unnest($2::bytea[], $3::text[], $4::bigint[], $5::bigint[])
           AS w (id, pack, from_bytes, to_bytes), packs p
         WHERE c.id = w.id AND p.name = w.pack AND c.pack = p.number
         AND c.offset_bytes = w.from_bytes`,
        [
          integerOf(added.rows[0] ?? {}, "number"),
          moved.map(({ from }) => raw(from.id)),
          moved.map(({ from }) => from.pack),
          moved.map(({ from }) => from.offsetBytes),
          moved.map(({ offsetBytes }) => offsetBytes),
        ],
      );
      return changes;
    });
  }

  async doom(names: readonly string[], nowMs: number): Promise<void> {
    await this.#database.run(
      `UPDATE packs p SET doomed_ms = $2
       WHERE p.name = ANY ($1::text[]) AND p.doomed_ms IS NULL AND ${EMPTY}`,
      [names, nowMs],
    );
  }

  async drop(names: readonly string[]): Promise<void> {
    await this.#database.write(async (run) => {
      await run(
        `DELETE FROM packs p
         WHERE p.name = ANY ($1::text[]) AND p.doomed_ms IS NOT NULL AND ${EMPTY}`,
        [names],
      );
      await run("DELETE FROM strays WHERE name = ANY ($1::text[])", [names]);
    });
  }

  async strays(
    names: readonly string[],
    nowMs: number | null,
  ): Promise<ReadonlyMap<string, number>> {
    const unknown = `SELECT w.name, $2::bigint FROM unnest($1::text[]) AS w (name)
      WHERE NOT EXISTS (SELECT FROM packs p WHERE p.name = w.name)`;
    if (nowMs !== null) {
      await this.#database.run(
        `INSERT INTO strays (name, seen_ms) ${unknown} ON CONFLICT (name) DO NOTHING`,
        [names, nowMs],
      );
    }
    const rows = await this.#database.read(
      `SELECT w.name, s.seen_ms FROM (${unknown}) AS w LEFT JOIN strays s ON s.name = w.name`,
      [names, nowMs],
    );
    return new Map(
      rows.map((row) => {
        const isNoted = row["seen_ms"] !== null;
        return [
          textOf(row, "name"),
          isNoted ? integerOf(row, "seen_ms") : Number.POSITIVE_INFINITY,
        ];
      }),
    );
  }
}
