import type { AccountId, ChunkId, SpaceId } from "#core/ids.ts";
import { chunkGone, HELD, placeOf } from "./chunk-rows.ts";
import type { ChunkIndex, ChunkPlace } from "./port.ts";
import type { SqliteFile } from "./sqlite-file.ts";
import { integerOf, packSizes, raw } from "./rows.ts";

function statements(file: SqliteFile) {
  return {
    held: file.prepare(`${HELD} AND l.space = ? AND l.chunk = ?`),
    heldBytes: file.prepare(
      `SELECT
         (SELECT coalesce(sum(c.length_bytes), 0) FROM spaces s
          JOIN links l ON l.space = s.id JOIN chunks c ON c.id = l.chunk WHERE s.account = $account)
         + (SELECT coalesce(sum(octet_length(c.meta)), 0) FROM spaces s
          JOIN contents c ON c.space = s.id WHERE s.account = $account) AS bytes`,
    ),
    stored: file.prepare("SELECT 1 AS stored FROM chunks WHERE id = ? AND quarantined = 0"),
    addPack: file.prepare(
      "INSERT INTO packs (name, size_bytes) VALUES (?, ?) ON CONFLICT (name) DO NOTHING",
    ),
    inPack: file.prepare("SELECT 1 AS used FROM chunks WHERE pack = ? LIMIT 1"),
    dropPack: file.prepare("DELETE FROM packs WHERE number = ?"),
    pack: file.prepare("SELECT number FROM packs WHERE name = ?"),
    // What somebody has stored before is written again, and dropped: the first place stays.
    addChunk: file.prepare(
      `INSERT INTO chunks (id, pack, offset_bytes, length_bytes) VALUES (?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET pack = excluded.pack, offset_bytes = excluded.offset_bytes,
         length_bytes = excluded.length_bytes, quarantined = 0
       WHERE quarantined = 1`,
    ),
    stage: file.prepare(
      `INSERT INTO links (space, chunk, lease_ms) VALUES (?, ?, ?)
       ON CONFLICT (space, chunk) DO UPDATE SET lease_ms = max(lease_ms, excluded.lease_ms)
       WHERE lease_ms IS NOT NULL`,
    ),
    renew: file.prepare(
      `UPDATE links SET lease_ms = max(lease_ms, ?)
       WHERE space = ? AND chunk = ? AND lease_ms IS NOT NULL`,
    ),
  };
}

/** Where chunks lie and which space holds them, in a SQLite file. */
export class SqliteChunks implements ChunkIndex {
  readonly #file: SqliteFile;
  readonly #sql: ReturnType<typeof statements>;

  constructor(file: SqliteFile) {
    this.#file = file;
    this.#sql = statements(file);
  }

  async held(space: SpaceId, ids: readonly ChunkId[]): Promise<ChunkPlace[]> {
    const owner = raw(space);
    return this.#file.read(() => {
      const places: ChunkPlace[] = [];
      for (const id of new Set(ids)) {
        const row = this.#sql.held.get(owner, raw(id));
        if (row !== undefined) places.push(placeOf(row));
      }
      return places;
    });
  }

  async stored(ids: readonly ChunkId[]): Promise<ReadonlySet<ChunkId>> {
    return this.#file.read(
      () => new Set(ids.filter((id) => this.#sql.stored.get(raw(id)) !== undefined)),
    );
  }

  async stage(
    space: SpaceId,
    written: readonly ChunkPlace[],
    ids: readonly ChunkId[],
    leaseMs: number,
  ): Promise<ReadonlySet<string>> {
    const owner = raw(space);
    return this.#file.write(() => {
      const used = this.#place(written);
      for (const id of ids) {
        const chunk = raw(id);
        if (this.#sql.stored.get(chunk) === undefined) {
          throw chunkGone(id);
        }
        this.#sql.stage.run(owner, chunk, leaseMs);
      }
      return used;
    });
  }

  async heldBytes(account: AccountId): Promise<number> {
    const row = this.#file.read(() => this.#sql.heldBytes.get({ account: raw(account) }));
    return integerOf(row ?? {}, "bytes");
  }

  async renew(space: SpaceId, ids: readonly ChunkId[], leaseMs: number): Promise<void> {
    const owner = raw(space);
    this.#file.write(() => {
      for (const id of ids) this.#sql.renew.run(leaseMs, owner, raw(id));
    });
  }

  /** Gives the packs in which any chunk lies then; of the others no row stays. */
  #place(written: readonly ChunkPlace[]): Set<string> {
    const numbers = new Map<string, number>();
    const sizes = packSizes(written);
    for (const { id, pack, offsetBytes, lengthBytes } of written) {
      const number = numbers.get(pack) ?? this.#packNumber(pack, sizes.get(pack) ?? 0);
      numbers.set(pack, number);
      this.#sql.addChunk.run(raw(id), number, offsetBytes, lengthBytes);
    }
    const used = new Set<string>();
    for (const [pack, number] of numbers) {
      if (this.#sql.inPack.get(number) === undefined) this.#sql.dropPack.run(number);
      else used.add(pack);
    }
    return used;
  }

  #packNumber(name: string, sizeBytes: number): number {
    this.#sql.addPack.run(name, sizeBytes);
    const row = this.#sql.pack.get(name);
    return integerOf(row ?? {}, "number");
  }
}
