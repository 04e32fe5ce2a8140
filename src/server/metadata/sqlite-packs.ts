import type { ChunkId } from "#core/ids.ts";
import type { Moved, PackCollection, PackRow, StoredChunk } from "./collection.ts";
import { packRowOf, storedOf } from "./collection-rows.ts";
import { integerOf, raw } from "./rows.ts";
import type { SqliteFile } from "./sqlite-file.ts";

const HELD = "EXISTS (SELECT 1 FROM links l WHERE l.chunk = chunks.id)";
const EMPTY = "NOT EXISTS (SELECT 1 FROM chunks c WHERE c.pack = packs.number)";

function statements(file: SqliteFile) {
  return {
    chunks: file.prepare(
      `SELECT id, length_bytes, ${HELD} AS held FROM chunks WHERE id > ? ORDER BY id LIMIT ?`,
    ),
    removeChunk: file.prepare(
      `DELETE FROM chunks WHERE id = ? AND NOT ${HELD} RETURNING id, length_bytes`,
    ),
    packs: file.prepare(
      `SELECT p.name, p.size_bytes, p.doomed_ms, count(c.id) AS chunks,
         coalesce(sum(c.length_bytes), 0) AS live_bytes
       FROM packs p LEFT JOIN chunks c ON c.pack = p.number
       WHERE p.name > ? GROUP BY p.name ORDER BY p.name LIMIT ?`,
    ),
    addPack: file.prepare("INSERT INTO packs (name, size_bytes) VALUES (?, ?) RETURNING number"),
    moveChunk: file.prepare(
      `UPDATE chunks SET pack = ?, offset_bytes = ? WHERE id = ? AND offset_bytes = ?
       AND pack = (SELECT number FROM packs WHERE name = ?)`,
    ),
    doom: file.prepare(
      `UPDATE packs SET doomed_ms = ? WHERE name = ? AND doomed_ms IS NULL AND ${EMPTY}`,
    ),
    drop: file.prepare(`DELETE FROM packs WHERE name = ? AND doomed_ms IS NOT NULL AND ${EMPTY}`),
    pack: file.prepare("SELECT 1 AS known FROM packs WHERE name = ?"),
    stray: file.prepare("SELECT seen_ms FROM strays WHERE name = ?"),
    addStray: file.prepare("INSERT INTO strays (name, seen_ms) VALUES (?, ?)"),
    dropStray: file.prepare("DELETE FROM strays WHERE name = ?"),
  };
}

/** Packs, and chunks that nobody holds, in a SQLite file. */
export class SqlitePacks implements PackCollection {
  readonly #file: SqliteFile;
  readonly #sql: ReturnType<typeof statements>;

  constructor(file: SqliteFile) {
    this.#file = file;
    this.#sql = statements(file);
  }

  async unheld(limit: number, after?: ChunkId) {
    const from = after === undefined ? new Uint8Array() : raw(after);
    const rows = this.#file.read(() => this.#sql.chunks.all(from, limit));
    const last = rows.length < limit ? undefined : rows.at(-1);
    return {
      chunks: rows.filter((row) => integerOf(row, "held") === 0).map(storedOf),
      next: last === undefined ? null : storedOf(last).id,
    };
  }

  async removeUnheld(ids: readonly ChunkId[]): Promise<readonly StoredChunk[]> {
    return this.#file.write(() =>
      ids
        .map((id) => this.#sql.removeChunk.get(raw(id)))
        .filter((row) => row !== undefined)
        .map(storedOf),
    );
  }

  async packs(limit: number, after = ""): Promise<PackRow[]> {
    return this.#file.read(() => this.#sql.packs.all(after, limit).map(packRowOf));
  }

  async move(
    to: { readonly name: string; readonly sizeBytes: number },
    moved: readonly Moved[],
  ): Promise<number> {
    return this.#file.write(() => {
      const number = integerOf(this.#sql.addPack.get(to.name, to.sizeBytes) ?? {}, "number");
      let count = 0;
      for (const { from, offsetBytes } of moved) {
        const at = [raw(from.id), from.offsetBytes, from.pack] as const;
        count += Number(this.#sql.moveChunk.run(number, offsetBytes, ...at).changes);
      }
      return count;
    });
  }

  async doom(names: readonly string[], nowMs: number): Promise<void> {
    this.#file.write(() => {
      for (const name of names) this.#sql.doom.run(nowMs, name);
    });
  }

  async drop(names: readonly string[]): Promise<void> {
    this.#file.write(() => {
      for (const name of names) {
        this.#sql.drop.run(name);
        this.#sql.dropStray.run(name);
      }
    });
  }

  async strays(
    names: readonly string[],
    nowMs: number | null,
  ): Promise<ReadonlyMap<string, number>> {
    const look = (): Map<string, number> => {
      const found = new Map<string, number>();
      for (const name of names) {
        if (this.#sql.pack.get(name) !== undefined) continue;
        const noted = this.#sql.stray.get(name);
        if (noted !== undefined) found.set(name, integerOf(noted, "seen_ms"));
        else if (nowMs === null) found.set(name, Number.POSITIVE_INFINITY);
        else {
          this.#sql.addStray.run(name, nowMs);
          found.set(name, nowMs);
        }
      }
      return found;
    };
    return nowMs === null ? this.#file.read(look) : this.#file.write(look);
  }
}
