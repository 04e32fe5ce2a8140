import { chunkId, type ChunkId, type SpaceId } from "#core/ids.ts";
import { placeOf } from "./chunk-rows.ts";
import type { ChunkPlace, KeptChunk, ScrubIndex } from "./port.ts";
import { hexOf, integerOf, raw, textOf } from "./rows.ts";
import type { SqliteFile } from "./sqlite-file.ts";

function statements(file: SqliteFile) {
  return {
    storedBytes: file.prepare("SELECT coalesce(sum(length_bytes), 0) AS bytes FROM chunks"),
    packs: file.prepare("SELECT name FROM packs WHERE name > ? ORDER BY name LIMIT ?"),
    inPack: file.prepare(
      `SELECT c.id, p.name, c.offset_bytes, c.length_bytes, c.quarantined FROM chunks c
       JOIN packs p ON p.number = c.pack WHERE p.name = ? ORDER BY c.offset_bytes`,
    ),
    quarantine: file.prepare(
      `UPDATE chunks SET quarantined = ?1 WHERE id = ?2 AND offset_bytes = ?3 AND quarantined <> ?1
         AND pack = (SELECT number FROM packs WHERE name = ?4)`,
    ),
    quarantined: file.prepare(
      `SELECT c.id FROM chunks c JOIN links l ON l.chunk = c.id
       WHERE c.quarantined = 1 AND l.space = ? ORDER BY c.id LIMIT ?`,
    ),
  };
}

/** What a scrub reads over and finds, in a SQLite file. */
export class SqliteScrub implements ScrubIndex {
  readonly #file: SqliteFile;
  readonly #sql: ReturnType<typeof statements>;

  constructor(file: SqliteFile) {
    this.#file = file;
    this.#sql = statements(file);
  }

  async storedBytes(): Promise<number> {
    return integerOf(this.#file.read(() => this.#sql.storedBytes.get()) ?? {}, "bytes");
  }

  async packs(after: string, most: number): Promise<string[]> {
    const rows = this.#file.read(() => this.#sql.packs.all(after, most));
    return rows.map((row) => textOf(row, "name"));
  }

  async inPack(pack: string): Promise<KeptChunk[]> {
    const rows = this.#file.read(() => this.#sql.inPack.all(pack));
    return rows.map((row) => ({
      ...placeOf(row),
      isQuarantined: integerOf(row, "quarantined") === 1,
    }));
  }

  async quarantine(places: readonly ChunkPlace[], isQuarantined: boolean): Promise<number> {
    const flag = isQuarantined ? 1 : 0;
    return this.#file.write(() => {
      let changed = 0;
      for (const { id, offsetBytes, pack } of places) {
        changed += Number(this.#sql.quarantine.run(flag, raw(id), offsetBytes, pack).changes);
      }
      return changed;
    });
  }

  async quarantined(space: SpaceId, most: number): Promise<ChunkId[]> {
    const rows = this.#file.read(() => this.#sql.quarantined.all(raw(space), most));
    return rows.map((row) => chunkId(hexOf(row, "id")));
  }
}
