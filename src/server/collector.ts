import { toHex } from "#core/bytes.ts";
import { WorldError } from "#core/errors.ts";
import type { ChunkId, SpaceId } from "#core/ids.ts";
import type { Chance, Clock, Digest, Log } from "#core/world.ts";
import { ChunkMarks } from "./chunk-marks.ts";
import type { PackStore } from "./chunks/port.ts";
import type { Collection, ContentKey, ContentRow } from "./metadata/collection.ts";
import { allContents, allSpaces, ROWS_AT_ONCE } from "./metadata/pages.ts";
import type { JournalStore, ScrubIndex } from "./metadata/port.ts";
import { PackCollector, type PackCount } from "./pack-collector.ts";
import { outlived, type Retention } from "./retention.ts";

/** A collector that has not been heard of for so long has ended; if not, no harm is done. */
export const TURN_MS = 30_000;

const HOUR_MS = 60 * 60 * 1_000;

export type CollectorRules = {
  readonly retention: Retention;
  /** Between the moment that nothing kept needs a chunk and its end. */
  readonly graceMs: number;
  /** How long a pack in which nothing lies stays for those who are reading. */
  readonly packGraceMs: number;
  /** How long an object without a row may still get one: longer than any upload takes. */
  readonly strayMs: number;
  /** So many small packs are copied into one. */
  readonly manySmallPacks: number;
};

/** What holds where nobody says otherwise. */
export const STANDARD_RULES: CollectorRules = {
  retention: { allMs: 30 * 24 * HOUR_MS, dailyMs: 365 * 24 * HOUR_MS },
  graceMs: 72 * HOUR_MS,
  packGraceMs: HOUR_MS,
  strayMs: 7 * 24 * HOUR_MS,
  manySmallPacks: 16,
};

export type CollectorWorld = {
  readonly journals: Pick<JournalStore, "head">;
  readonly collection: Collection;
  readonly scrub: Pick<ScrubIndex, "inPack">;
  readonly packs: PackStore;
  readonly clock: Clock;
  readonly chance: Chance;
  readonly digest: Digest;
  readonly log: Log;
  /** Lets others have their turn, where calls of the database do not; called between pages. */
  readonly rest?: () => Promise<void>;
};

/** What becomes of one space. */
export type SpaceCount = {
  readonly space: SpaceId;
  /** Contents whose chunks are forgotten. */
  versions: number;
  /** Chunks that no kept content needs any more: they go when the grace is over. */
  chunks: number;
  bytes: number;
  /** Claims whose grace, or lease, was over. */
  ended: number;
};

export type CollectionReport = PackCount & {
  readonly isDry: boolean;
  /** Those of which anything goes. */
  readonly spaces: readonly SpaceCount[];
  /** Chunks that no space holds any more, and their bytes. */
  readonly chunks: number;
  readonly chunkBytes: number;
};

export type CollectorOptions = {
  /** Nothing is changed; the report says what would be. */
  readonly isDry?: boolean;
  /** Told what is being done, now and then. */
  readonly onProgress?: (what: string) => void;
};

/**
 * Forgets revisions that have outlived the retention, and frees what nobody needs then.
 *
 * **Why no chunk goes that somebody needs.** A link of a space to a chunk is all that keeps it. Of
 * a space at head h, first all chunks of contents that are not forgotten are marked, then links are
 * condemned that are not marked and that no entry after h has named. An entry after h that names a
 * chunk sets `touched` in the transaction that appends it: before the condemning, which then passes
 * the link by, or after it, which links it again; once the link is gone, the append finds that and
 * is told `missing-chunks`. An entry that keeps a chunk without naming it (SPEC SS7) keeps one of
 * the content before it. Going back from content to content one comes to an entry after h that
 * named it, or to the content that was its node's at h: a living node's is never forgotten, so it
 * was marked. That a content is no longer its node's is for ever, so nothing that was forgotten is
 * kept again.
 *
 * Every step is one conditional change. A run may end anywhere: the next one finds what is left.
 */
export class Collector {
  readonly #world: CollectorWorld;
  readonly #rules: CollectorRules;

  constructor(world: CollectorWorld, rules: CollectorRules) {
    this.#world = world;
    this.#rules = rules;
  }

  /**
   * One run; `busy` when another collector is at work on this database. Throws what `signal` is
   * aborted with, and the stores' WorldErrors.
   */
  async run(
    { isDry = false, onProgress = () => {} }: CollectorOptions = {},
    signal?: AbortSignal,
  ): Promise<CollectionReport | "busy"> {
    const { chance, collection } = this.#world;
    const holder = toHex(chance.bytes(16));
    const step = async (what: string): Promise<void> => {
      await this.#rest();
      signal?.throwIfAborted();
      onProgress(what);
      if (isDry) return;
      const nowMs = this.#nowMs;
      if (await collection.links.takeTurn(holder, nowMs, nowMs + TURN_MS)) return;
      throw new TurnLost();
    };
    try {
      return await this.#run(isDry, step);
    } catch (error) {
      if (error instanceof TurnLost) return "busy";
      throw error;
    } finally {
      if (!isDry) await this.#endTurn(holder);
    }
  }

  async #rest(): Promise<void> {
    await this.#world.rest?.();
  }

  get #nowMs(): number {
    return this.#world.clock.nowMs();
  }

  /** When the database is away the turn ends by itself. */
  async #endTurn(holder: string): Promise<void> {
    const { links } = this.#world.collection;
    await links.takeTurn(holder, this.#nowMs, 0).catch(() => false);
  }

  async #run(isDry: boolean, step: (what: string) => Promise<void>): Promise<CollectionReport> {
    const spaces: SpaceCount[] = [];
    let passed = 0;
    for await (const space of allSpaces(this.#world.collection.links)) {
      await step(`space ${++passed}`);
      const count = isDry ? await this.#look(space) : await this.#collect(space, step);
      if (count.versions + count.chunks + count.ended > 0) spaces.push(count);
    }
    const freed = await this.#freeChunks(isDry, step);
    const packs = new PackCollector(this.#world, this.#rules, step);
    return { isDry, spaces, ...freed, ...(await packs.run(isDry)) };
  }

  async #collect(space: SpaceId, step: (what: string) => Promise<void>): Promise<SpaceCount> {
    const { links } = this.#world.collection;
    const { graceMs } = this.#rules;
    // Read before anything else: what comes later is known by its higher sequence.
    const { sequence } = await this.#world.journals.head(space);
    const count = { space, versions: 0, chunks: 0, bytes: 0, ended: 0 };
    const marks = await this.#mark(space, async (gone) => {
      count.versions += await links.forget(space, gone);
      await step(`${count.versions} versions of a space`);
    });
    for await (const page of this.#links(space)) {
      await step(`${count.chunks} chunks of a space`);
      const condemned = page.filter((link) => link.leaseMs === null && !marks.has(link.chunk));
      if (condemned.length > 0) {
        const until = { sequence, leaseMs: this.#nowMs + graceMs };
        count.chunks += await links.condemn(space, idsOf(condemned), until);
        count.bytes += sumOf(condemned);
      }
      const needed = page.filter((link) => link.leaseMs !== null && marks.has(link.chunk));
      if (needed.length > 0) await links.revive(space, idsOf(needed));
    }
    for (let swept = ROWS_AT_ONCE; swept === ROWS_AT_ONCE;) {
      swept = await links.sweep(space, this.#nowMs, ROWS_AT_ONCE);
      count.ended += swept;
    }
    return count;
  }

  /** What `#collect` would do. */
  async #look(space: SpaceId): Promise<SpaceCount> {
    const count = { space, versions: 0, chunks: 0, bytes: 0, ended: 0 };
    const marks = await this.#mark(space, async (gone) => void (count.versions += gone.length));
    const nowMs = this.#nowMs;
    for await (const page of this.#links(space)) {
      const condemned = page.filter((link) => link.leaseMs === null && !marks.has(link.chunk));
      count.chunks += condemned.length;
      count.bytes += sumOf(condemned);
      count.ended += page.filter(({ chunk, leaseMs }) => {
        return leaseMs !== null && leaseMs <= nowMs && !marks.has(chunk);
      }).length;
    }
    return count;
  }

  /**
   * All chunks of contents that are kept, and perhaps some more. `forget` is told of the others
   * first; what it does not forget is found again by the next run.
   */
  async #mark(
    space: SpaceId,
    forget: (gone: readonly ContentKey[]) => Promise<void>,
  ): Promise<ChunkMarks> {
    const marks = new ChunkMarks();
    const { retention } = this.#rules;
    let due: ContentKey[] = [];
    for await (const contents of this.#nodes(space)) {
      const gone = new Set(outlived(contents, retention, this.#nowMs));
      for (const { node, sequence, chunks, forgotten } of contents) {
        if (forgotten) continue;
        // What names no chunk (a small sealed file lies in its meta) takes no room that comes back.
        if (gone.has(sequence) && chunks.length > 0) due.push({ node, sequence });
        else for (const chunk of chunks) marks.add(chunk);
      }
      if (due.length < ROWS_AT_ONCE) continue;
      await forget(due);
      due = [];
    }
    if (due.length > 0) await forget(due);
    return marks;
  }

  /** All contents of one node after the other. */
  async *#nodes(space: SpaceId): AsyncGenerator<ContentRow[]> {
    const { links } = this.#world.collection;
    let node: ContentRow[] = [];
    for await (const row of allContents(links, space, () => this.#rest())) {
      if (node[0] !== undefined && node[0].node !== row.node) {
        yield node;
        node = [];
      }
      node.push(row);
    }
    if (node.length > 0) yield node;
  }

  async *#links(space: SpaceId) {
    const { links } = this.#world.collection;
    let page = await links.links(space, ROWS_AT_ONCE);
    while (page.length > 0) {
      yield page;
      const last = page.length < ROWS_AT_ONCE ? undefined : page.at(-1);
      await this.#rest();
      page = last === undefined ? [] : await links.links(space, ROWS_AT_ONCE, last.chunk);
    }
  }

  async #freeChunks(isDry: boolean, step: (what: string) => Promise<void>) {
    const { packs } = this.#world.collection;
    let [chunks, chunkBytes] = [0, 0];
    let after: ChunkId | undefined;
    do {
      await step(`${chunks} chunks`);
      const page = await packs.unheld(ROWS_AT_ONCE, after);
      const ids = page.chunks.map(({ id }) => id);
      const gone = isDry || ids.length === 0 ? page.chunks : await packs.removeUnheld(ids);
      chunks += gone.length;
      chunkBytes += sumOf(gone);
      after = page.next ?? undefined;
    } while (after !== undefined);
    return { chunks, chunkBytes };
  }
}

/** Another collector has taken over: this one was not heard of for too long. */
class TurnLost extends WorldError {
  constructor() {
    super("collecting", "Another collector is at work on this database.", { retryable: true });
  }
}

function idsOf(links: readonly { readonly chunk: ChunkId }[]): ChunkId[] {
  return links.map(({ chunk }) => chunk);
}

function sumOf(rows: readonly { readonly lengthBytes: number }[]): number {
  return rows.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
}
