import { chunkId, type AccountId, type ChunkId, type SpaceId } from "#core/ids.ts";
import { chunkGone, HELD, placeOf } from "./chunk-rows.ts";
import type { ChunkIndex, ChunkPlace } from "./port.ts";
import { lockSpace, type PostgresDatabase, type Run } from "./postgres-database.ts";
import { hexOf, integerOf, packSizes, raw, textOf } from "./rows.ts";

/**
 * Where chunks lie and which space holds them, in a PostgreSQL database. Whoever writes locks the
 * space's row first, and chunks in the order of their ids: no two wait for each other in a ring.
 */
export class PostgresChunks implements ChunkIndex {
  readonly #database: PostgresDatabase;

  constructor(database: PostgresDatabase) {
    this.#database = database;
  }

  async held(space: SpaceId, ids: readonly ChunkId[]): Promise<ChunkPlace[]> {
    if (ids.length === 0) return [];
    const rows = await this.#database.read(
      `${HELD} AND l.space = $1 AND l.chunk = ANY ($2::bytea[])`,
      [raw(space), rawSet(ids)],
    );
    return rows.map(placeOf);
  }

  async stored(ids: readonly ChunkId[]): Promise<ReadonlySet<ChunkId>> {
    const sql = "SELECT id FROM chunks WHERE id = ANY ($1::bytea[]) AND quarantined = 0";
    const rows = await this.#database.read(sql, [rawSet(ids)]);
    return new Set(rows.map((row) => chunkId(hexOf(row, "id"))));
  }

  async stage(
    space: SpaceId,
    written: readonly ChunkPlace[],
    ids: readonly ChunkId[],
    leaseMs: number,
  ): Promise<ReadonlySet<string>> {
    const wanted = rawSet(ids);
    return this.#database.write(async (run) => {
      await lockSpace(run, space);
      // What is there stays until this is over: a collector that wants it waits, or leaves it.
      await run("SELECT FROM chunks WHERE id = ANY ($1::bytea[]) ORDER BY id FOR KEY SHARE", [
        wanted,
      ]);
      const used = await place(run, written);
      const gone = await run(
        `SELECT w.id FROM unnest($1::bytea[]) AS w (id)
         WHERE NOT EXISTS (SELECT FROM chunks c WHERE c.id = w.id AND c.quarantined = 0) LIMIT 1`,
        [wanted],
      );
      if (gone.rows[0] !== undefined) {
        throw chunkGone(hexOf(gone.rows[0], "id"));
      }
      await run(
        `INSERT INTO links (space, chunk, lease_ms)
         SELECT $1::bytea, w.id, $3::bigint FROM unnest($2::bytea[]) AS w (id)
         ON CONFLICT (space, chunk) DO UPDATE SET lease_ms = excluded.lease_ms
         WHERE links.lease_ms < excluded.lease_ms`,
        [raw(space), wanted, leaseMs],
      );
      return used;
    });
  }

  async heldBytes(account: AccountId): Promise<number> {
    const [row = {}] = await this.#database.read(
      `SELECT (
         (SELECT coalesce(sum(c.length_bytes), 0) FROM spaces s
          JOIN links l ON l.space = s.id JOIN chunks c ON c.id = l.chunk WHERE s.account = $1)
         + (SELECT coalesce(sum(octet_length(c.meta)), 0) FROM spaces s
          JOIN contents c ON c.space = s.id WHERE s.account = $1))::bigint AS bytes`,
      [raw(account)],
    );
    return integerOf(row, "bytes");
  }

  async renew(space: SpaceId, ids: readonly ChunkId[], leaseMs: number): Promise<void> {
    if (ids.length === 0) return;
    await this.#database.write(async (run) => {
      await lockSpace(run, space);
      await run(
        `UPDATE links SET lease_ms = $3
         WHERE space = $1 AND chunk = ANY ($2::bytea[]) AND lease_ms < $3`,
        [raw(space), rawSet(ids), leaseMs],
      );
    });
  }
}

/** Gives the packs in which any chunk lies then; of the others no row stays. */
async function place(run: Run, written: readonly ChunkPlace[]): Promise<Set<string>> {
  if (written.length === 0) return new Set();
  const sizes = packSizes(written);
  const names = [...sizes.keys()].toSorted();
  await run(
    `INSERT INTO packs (name, size_bytes)
     SELECT w.name, w.size_bytes FROM unnest($1::text[], $2::bigint[]) AS w (name, size_bytes)
     ON CONFLICT (name) DO NOTHING`,
    [names, names.map((name) => sizes.get(name) ?? 0)],
  );
  const places = written.toSorted((left, right) => (left.id < right.id ? -1 : 1));
  // What somebody has stored before is written again, and dropped: the first place stays.
  await run(
    `INSERT INTO chunks (id, pack, offset_bytes, length_bytes)
     SELECT w.id, p.number, w.offset_bytes, w.length_bytes
     FROM unnest($1::bytea[], $2::text[], $3::bigint[], $4::bigint[])
       AS w (id, pack, offset_bytes, length_bytes)
     JOIN packs p ON p.name = w.pack ORDER BY w.id
     ON CONFLICT (id) DO UPDATE SET pack = excluded.pack, offset_bytes = excluded.offset_bytes,
       length_bytes = excluded.length_bytes, quarantined = 0
     WHERE chunks.quarantined = 1`,
    [
      places.map(({ id }) => raw(id)),
      places.map(({ pack }) => pack),
      places.map(({ offsetBytes }) => offsetBytes),
      places.map(({ lengthBytes }) => lengthBytes),
    ],
  );
  await run(
    `DELETE FROM packs p WHERE p.name = ANY ($1::text[])
     AND NOT EXISTS (SELECT FROM chunks c WHERE c.pack = p.number)`,
    [names],
  );
  const { rows } = await run("SELECT name FROM packs WHERE name = ANY ($1::text[])", [names]);
  return new Set(rows.map((row) => textOf(row, "name")));
}

/** Each once, in the order in which they are locked. */
function rawSet(ids: readonly ChunkId[]): Uint8Array[] {
  return [...new Set(ids)].toSorted().map(raw);
}
