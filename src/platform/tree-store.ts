import type { StatementSync } from "node:sqlite";
import type { NodeId } from "#core/ids.ts";
import { foldName, plainNameKey } from "#core/names.ts";
import type { TreeStore } from "#sync/ports.ts";
import { agrees, isEmpty } from "#sync/tree.ts";
import type { FileKey, NodeRow } from "#sync/tree.ts";
import type { DeviceFile } from "./device-schema.ts";
import { READ_COLUMNS, readRow, WRITE_COLUMNS, writeRow } from "./node-columns.ts";

/** Rows kept at hand: climbing to the root asks for the same folders again and again. */
const MAX_CACHED_ROWS = 8_192;

export type Side = "remote" | "synced" | "local";

type BySide = Readonly<Record<Side, StatementSync>>;

/** The three trees of a device in its SQLite file, one row a node. */
export class SqliteTreeStore implements TreeStore {
  readonly #file: DeviceFile;
  readonly #keyOf: (name: string) => string;
  readonly #get: StatementSync;
  readonly #put: StatementSync;
  readonly #remove: StatementSync;
  readonly #changed: StatementSync;
  readonly #holding: StatementSync;
  readonly #localFolders: StatementSync;
  readonly #localNamesWith: StatementSync;
  readonly #children: BySide;
  readonly #named: BySide;
  readonly #count: BySide;
  /** Counts since the last write; a look at all rows of a side takes 3 ms at 100,000. */
  readonly #counts = new Map<Side, number>();
  /** Rows by id, oldest first; this process alone writes rows. */
  readonly #cache = new Map<NodeId, NodeRow>();
  /**
   * Rows that do not agree, by id, from when they were first asked for: each turn of the engine
   * asks for all of them again and again, and they are nobody's in a folder that is in sync.
   */
  #differing: Map<NodeId, NodeRow> | null = null;
  #isInOrder = false;
  #changes = 0;

  constructor(file: DeviceFile, folding: boolean) {
    const rows = `SELECT ${READ_COLUMNS} FROM nodes`;
    const bySide = (sql: (side: Side) => string): BySide => ({
      remote: file.prepare(sql("remote")),
      synced: file.prepare(sql("synced")),
      local: file.prepare(sql("local")),
    });
    this.#file = file;
    this.#keyOf = folding ? foldName : plainNameKey;
    this.#get = file.prepare(`${rows} WHERE id = ?`);
    this.#put = file.prepare(UPSERT);
    this.#remove = file.prepare("DELETE FROM nodes WHERE id = ?");
    this.#changed = file.prepare(`${rows} WHERE changed = 1 ORDER BY id`);
    this.#holding = file.prepare(`${rows} WHERE local_file = ? ORDER BY id`);
    this.#localFolders = file.prepare(
      "SELECT id FROM nodes WHERE kind = 'folder' AND local_parent IS NOT NULL",
    );
    // A name that equals the one of the side before it is stored as NULL.
    this.#localNamesWith = file.prepare(
      `${rows} WHERE local_parent IS NOT NULL
        AND instr(coalesce(local_name, synced_name, remote_name), ?) > 0 ORDER BY id`,
    );
    this.#children = bySide((side) => `${rows} WHERE ${side}_parent = ? ORDER BY ${side}_key, id`);
    this.#named = bySide(
      (side) => `${rows} WHERE ${side}_parent = ? AND ${side}_key = ? ORDER BY id`,
    );
    this.#count = bySide((side) => `SELECT count(*) FROM nodes WHERE ${side}_parent IS NOT NULL`);
  }

  transaction<T>(work: () => T): T {
    return this.#undone(() => this.#file.transaction(work));
  }

  lazily<T>(work: () => T): T {
    return this.#undone(() => this.#file.lazily(work));
  }

  /** What is at hand of rows may be of a transaction that came to nothing. */
  #undone<T>(transaction: () => T): T {
    try {
      return transaction();
    } catch (error) {
      this.#counts.clear();
      this.forget();
      this.#changes++;
      throw error;
    }
  }

  get(id: NodeId): NodeRow | undefined {
    const cached = this.#differing?.get(id) ?? this.#cache.get(id);
    if (cached !== undefined) return cached;
    const cells = this.#first(this.#get, id);
    if (cells === undefined) return undefined;
    const row = readRow(cells);
    this.#remember(row);
    return row;
  }

  get changes(): number {
    return this.#changes;
  }

  put(row: NodeRow): void {
    this.#changes++;
    this.#counts.clear();
    try {
      if (isEmpty(row)) this.#remove.run(row.id);
      else this.#put.run(...writeRow(row, this.#keyOf));
      this.#cache.delete(row.id);
      this.#note(row);
    } catch (error) {
      throw this.#file.explain(error);
    }
  }

  changed(): NodeRow[] {
    if (this.#differing === null) {
      this.#differing = new Map(this.#all(this.#changed).map((row) => [row.id, row]));
      this.#isInOrder = true;
    }
    if (!this.#isInOrder) {
      const rows = [...this.#differing].sort(([a], [b]) => (a < b ? -1 : 1));
      this.#differing = new Map(rows);
      this.#isInOrder = true;
    }
    return [...this.#differing.values()];
  }

  children(side: Side, parent: NodeId): NodeRow[] {
    return this.#all(this.#children[side], parent);
  }

  named(side: Side, parent: NodeId, name: string): NodeRow[] {
    return this.#all(this.#named[side], parent, this.#keyOf(name));
  }

  holding(file: FileKey): NodeRow[] {
    return this.#all(this.#holding, file);
  }

  localFolders(): NodeId[] {
    try {
      return (this.#localFolders.all() as unknown as [NodeId][]).map(([id]) => id);
    } catch (error) {
      throw this.#file.explain(error);
    }
  }

  /** Rows whose name on the disk holds this text; a look at all rows. */
  localNamesWith(text: string): NodeRow[] {
    return this.#all(this.#localNamesWith, text);
  }

  /** Rows that have this side. */
  count(side: Side): number {
    const known = this.#counts.get(side);
    if (known !== undefined) return known;
    const count = Number(this.#first(this.#count[side])?.[0] ?? 0);
    this.#counts.set(side, count);
    return count;
  }

  /** Lets go of the rows that are kept at hand. */
  forget(): void {
    this.#cache.clear();
    this.#differing = null;
  }

  /** Writes every row again, because names are now compared otherwise. */
  rekey(): void {
    const rows = this.#all(this.#file.prepare(`SELECT ${READ_COLUMNS} FROM nodes`));
    this.transaction(() => {
      for (const row of rows) this.put(row);
    });
  }

  #note(row: NodeRow): void {
    if (this.#differing === null) return;
    if (isEmpty(row) || agrees(row)) {
      this.#differing.delete(row.id);
      return;
    }
    if (!this.#differing.has(row.id)) this.#isInOrder = false;
    this.#differing.set(row.id, row);
  }

  #remember(row: NodeRow): void {
    if (this.#cache.size >= MAX_CACHED_ROWS) {
      for (const oldest of this.#cache.keys()) {
        this.#cache.delete(oldest);
        if (this.#cache.size < MAX_CACHED_ROWS / 2) break;
      }
    }
    this.#cache.set(row.id, row);
  }

  #first(statement: StatementSync, ...values: string[]): Cells | undefined {
    try {
      return statement.get(...values) as unknown as Cells | undefined;
    } catch (error) {
      throw this.#file.explain(error);
    }
  }

  #all(statement: StatementSync, ...values: string[]): NodeRow[] {
    try {
      const rows = statement.all(...values) as unknown as Cells[];
      return rows.map((cells) => this.#differing?.get(cells[0] as NodeId) ?? readRow(cells));
    } catch (error) {
      throw this.#file.explain(error);
    }
  }
}

type Cells = (string | number | null)[];

const UPSERT = `INSERT INTO nodes (${WRITE_COLUMNS.join(", ")})
  VALUES (${WRITE_COLUMNS.map(() => "?").join(", ")})
  ON CONFLICT (id) DO UPDATE SET
    ${WRITE_COLUMNS.slice(1)
      .map((column) => `${column} = excluded.${column}`)
      .join(", ")}`;
