import { assert } from "#core/assert.ts";
import type { ChunkId, NodeId, SpaceId } from "#core/ids.ts";
import type {
  ContentKey,
  ContentRow,
  LinkCollection,
  LinkRow,
  Moved,
  PackCollection,
  PackRow,
  StoredChunk,
} from "#server/metadata/collection.ts";
import type { ChunkPlace } from "#server/metadata/port.ts";
import type { MemoryContent, Space } from "./memory-journals.ts";

export type MemoryPack = { readonly sizeBytes: number; readonly doomedMs: number | null };

/** At most so many in order of their keys, after one. */
function page<T>(
  rows: Iterable<T>,
  key: (row: T) => string,
  limit: number,
  after: string | undefined,
): T[] {
  const behind = [...rows].filter((row) => after === undefined || key(row) > after);
  return behind.sort((a, b) => (key(a) < key(b) ? -1 : 1)).slice(0, limit);
}

/** Kept revisions and claims on chunks in memory: the twin of `SqliteLinks`. */
export class MemoryLinks implements LinkCollection {
  readonly #spaces: ReadonlyMap<SpaceId, Space>;
  readonly #places: ReadonlyMap<ChunkId, ChunkPlace>;
  #turn = { holder: "", untilMs: 0 };

  constructor(spaces: ReadonlyMap<SpaceId, Space>, places: ReadonlyMap<ChunkId, ChunkPlace>) {
    this.#spaces = spaces;
    this.#places = places;
  }

  async takeTurn(holder: string, nowMs: number, untilMs: number): Promise<boolean> {
    if (this.#turn.untilMs > nowMs && this.#turn.holder !== holder) return false;
    this.#turn = { holder, untilMs };
    return true;
  }

  async spaces(limit: number, after?: SpaceId): Promise<SpaceId[]> {
    return page(this.#spaces.keys(), (id) => id, limit, after);
  }

  async contents(space: SpaceId, limit: number, after?: ContentKey): Promise<ContentRow[]> {
    const at = this.#spaces.get(space);
    const rows: ContentRow[] = [];
    const nodes = [...(at?.contents.keys() ?? [])].sort();
    for (const node of nodes) {
      if (after !== undefined && node < after.node) continue;
      for (const content of at?.contents.get(node) ?? []) {
        if (node === after?.node && content.sequence <= after.sequence) continue;
        rows.push(this.#row(at, node, content));
        if (rows.length === limit) return rows;
      }
    }
    return rows;
  }

  #row(space: Space | undefined, node: NodeId, content: MemoryContent): ContentRow {
    const isLast = space?.contents.get(node)?.at(-1) === content;
    const end = space?.revisions.get(node)?.at(-1);
    const deletedMs = end?.deleted === true ? end.timeMs : null;
    return { node, ...content, isLast, deletedMs };
  }

  async forget(space: SpaceId, contents: readonly ContentKey[]): Promise<number> {
    const at = this.#spaces.get(space);
    let count = 0;
    for (const { node, sequence } of contents) {
      const rows = at?.contents.get(node) ?? [];
      const content = rows.find((row) => row.sequence === sequence);
      if (at === undefined || content === undefined || content.forgotten) continue;
      const { isLast, deletedMs } = this.#row(at, node, content);
      if (isLast && deletedMs === null) continue;
      const without = { ...content, chunks: [], forgotten: true };
      at.contents.set(
        node,
        rows.map((row) => (row === content ? without : row)),
      );
      count++;
    }
    return count;
  }

  async links(space: SpaceId, limit: number, after?: ChunkId): Promise<LinkRow[]> {
    const links = this.#spaces.get(space)?.links;
    return page(links?.keys() ?? [], (id) => id, limit, after).flatMap((chunk) => {
      const link = links?.get(chunk);
      const place = this.#places.get(chunk);
      return link && place ? [{ chunk, ...link, lengthBytes: place.lengthBytes }] : [];
    });
  }

  async condemn(
    space: SpaceId,
    chunks: readonly ChunkId[],
    { sequence, leaseMs }: { readonly sequence: number; readonly leaseMs: number },
  ): Promise<number> {
    const links = this.#spaces.get(space)?.links;
    let condemned = 0;
    for (const chunk of chunks) {
      const link = links?.get(chunk);
      if (link === undefined || link.leaseMs !== null || link.touched > sequence) continue;
      links?.set(chunk, { ...link, leaseMs });
      condemned++;
    }
    return condemned;
  }

  async revive(space: SpaceId, chunks: readonly ChunkId[]): Promise<void> {
    const links = this.#spaces.get(space)?.links;
    for (const chunk of chunks) {
      const link = links?.get(chunk);
      if (link !== undefined) links?.set(chunk, { ...link, leaseMs: null });
    }
  }

  async sweep(space: SpaceId, nowMs: number, limit: number): Promise<number> {
    const links = this.#spaces.get(space)?.links;
    let swept = 0;
    for (const [chunk, { leaseMs }] of links ?? []) {
      if (swept === limit) break;
      if (leaseMs === null || leaseMs > nowMs) continue;
      links?.delete(chunk);
      swept++;
    }
    return swept;
  }
}

/** Packs, and chunks that nobody holds, in memory: the twin of `SqlitePacks`. */
export class MemoryPackRows implements PackCollection {
  readonly #spaces: ReadonlyMap<SpaceId, Space>;
  readonly #places: Map<ChunkId, ChunkPlace>;
  readonly #packs: Map<string, MemoryPack>;
  readonly #strays = new Map<string, number>();

  constructor(
    spaces: ReadonlyMap<SpaceId, Space>,
    places: Map<ChunkId, ChunkPlace>,
    packs: Map<string, MemoryPack>,
  ) {
    this.#spaces = spaces;
    this.#places = places;
    this.#packs = packs;
  }

  async unheld(limit: number, after?: ChunkId) {
    const rows = page(this.#places.values(), ({ id }) => id, limit, after);
    const last = rows.length < limit ? undefined : rows.at(-1);
    const chunks = rows.filter(({ id }) => !this.#isHeld(id));
    return { chunks: chunks.map(stored), next: last?.id ?? null };
  }

  async removeUnheld(ids: readonly ChunkId[]): Promise<readonly StoredChunk[]> {
    const removed: StoredChunk[] = [];
    for (const id of ids) {
      const place = this.#places.get(id);
      if (place === undefined || this.#isHeld(id)) continue;
      this.#places.delete(id);
      removed.push(stored(place));
    }
    return removed;
  }

  async packs(limit: number, after?: string): Promise<PackRow[]> {
    return page(this.#packs, ([name]) => name, limit, after).map(([name, pack]) => {
      const chunks = this.#chunksIn(name);
      const liveBytes = chunks.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
      return { name, ...pack, liveBytes, chunks: chunks.length };
    });
  }

  async move(
    to: { readonly name: string; readonly sizeBytes: number },
    moved: readonly Moved[],
  ): Promise<number> {
    assert(!this.#packs.has(to.name), "no pack's name is used again");
    this.#packs.set(to.name, { sizeBytes: to.sizeBytes, doomedMs: null });
    let count = 0;
    for (const { from, offsetBytes } of moved) {
      const place = this.#places.get(from.id);
      if (place?.pack !== from.pack || place.offsetBytes !== from.offsetBytes) continue;
      this.#places.set(from.id, { ...place, pack: to.name, offsetBytes });
      count++;
    }
    return count;
  }

  async doom(names: readonly string[], nowMs: number): Promise<void> {
    for (const name of names) {
      const pack = this.#packs.get(name);
      if (pack?.doomedMs !== null || this.#chunksIn(name).length > 0) continue;
      this.#packs.set(name, { ...pack, doomedMs: nowMs });
    }
  }

  async drop(names: readonly string[]): Promise<void> {
    for (const name of names) {
      this.#strays.delete(name);
      const pack = this.#packs.get(name);
      if (typeof pack?.doomedMs !== "number" || this.#chunksIn(name).length > 0) continue;
      this.#packs.delete(name);
    }
  }

  async strays(
    names: readonly string[],
    nowMs: number | null,
  ): Promise<ReadonlyMap<string, number>> {
    const found = new Map<string, number>();
    for (const name of names) {
      if (this.#packs.has(name)) continue;
      const seenMs = this.#strays.get(name) ?? nowMs ?? Number.POSITIVE_INFINITY;
      if (nowMs !== null) this.#strays.set(name, seenMs);
      found.set(name, seenMs);
    }
    return found;
  }

  #isHeld(id: ChunkId): boolean {
    for (const { links } of this.#spaces.values()) if (links.has(id)) return true;
    return false;
  }

  #chunksIn(pack: string): ChunkPlace[] {
    return [...this.#places.values()].filter((place) => place.pack === pack);
  }
}

function stored({ id, lengthBytes }: ChunkPlace): StoredChunk {
  return { id, lengthBytes };
}
