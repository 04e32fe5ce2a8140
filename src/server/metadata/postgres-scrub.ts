import { chunkId, type ChunkId, type SpaceId } from "#core/ids.ts";
import { placeOf } from "./chunk-rows.ts";
import type { ChunkPlace, KeptChunk, ScrubIndex } from "./port.ts";
import type { PostgresDatabase } from "./postgres-database.ts";
import { hexOf, integerOf, raw, textOf } from "./rows.ts";

/** What a scrub reads over and finds, in a PostgreSQL database. */
export class PostgresScrub implements ScrubIndex {
  readonly #database: PostgresDatabase;

  constructor(database: PostgresDatabase) {
    this.#database = database;
  }

  async storedBytes(): Promise<number> {
    const sql = "SELECT coalesce(sum(length_bytes), 0)::bigint AS bytes FROM chunks";
    return integerOf((await this.#database.read(sql))[0] ?? {}, "bytes");
  }

  async packs(after: string, most: number): Promise<string[]> {
    const sql = "SELECT name FROM packs WHERE name > $1 ORDER BY name LIMIT $2";
    const rows = await this.#database.read(sql, [after, most]);
    return rows.map((row) => textOf(row, "name"));
  }

  async inPack(pack: string): Promise<KeptChunk[]> {
    const rows = await this.#database.read(
      `SELECT c.id, p.name, c.offset_bytes, c.length_bytes, c.quarantined FROM chunks c
       JOIN packs p ON p.number = c.pack WHERE p.name = $1 ORDER BY c.offset_bytes`,
      [pack],
    );
    return rows.map((row) => ({
      ...placeOf(row),
      isQuarantined: integerOf(row, "quarantined") === 1,
    }));
  }

  async quarantine(places: readonly ChunkPlace[], isQuarantined: boolean): Promise<number> {
    if (places.length === 0) return 0;
    // In the order in which uploads lock them.
    const sorted = places.toSorted((left, right) => (left.id < right.id ? -1 : 1));
    return this.#database.write(async (run) => {
      await run("SELECT id FROM chunks WHERE id = ANY ($1::bytea[]) ORDER BY id FOR UPDATE", [
        sorted.map(({ id }) => raw(id)),
      ]);
      const { changes } = await run(
        `UPDATE chunks c SET quarantined = $4
         FROM unnest($1::bytea[], $2::text[], $3::bigint[]) AS w (id, pack, offset_bytes)
         JOIN packs p ON p.name = w.pack
         WHERE c.id = w.id AND c.pack = p.number AND c.offset_bytes = w.offset_bytes
           AND c.quarantined <> $4`,
        [
          sorted.map(({ id }) => raw(id)),
          sorted.map(({ pack }) => pack),
          sorted.map(({ offsetBytes }) => offsetBytes),
          isQuarantined ? 1 : 0,
        ],
      );
      return changes;
    });
  }

  async quarantined(space: SpaceId, most: number): Promise<ChunkId[]> {
    const rows = await this.#database.read(
      `SELECT c.id FROM chunks c JOIN links l ON l.chunk = c.id
       WHERE c.quarantined = 1 AND l.space = $1 ORDER BY c.id LIMIT $2`,
      [raw(space), most],
    );
    return rows.map((row) => chunkId(hexOf(row, "id")));
  }
}
