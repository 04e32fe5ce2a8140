import { assert } from "#core/assert.ts";
import { utf8 } from "#core/bytes.ts";
import { WorldError } from "#core/errors.ts";
import type { AccountId, ChunkId, SpaceId } from "#core/ids.ts";
import { CHAIN_START } from "#protocol/chain.ts";
import type { Collection } from "#server/metadata/collection.ts";
import type {
  ChunkIndex,
  ChunkPlace,
  JournalStore,
  KeptChunk,
  ScrubIndex,
} from "#server/metadata/port.ts";
import { packSizes } from "#server/metadata/rows.ts";
import { MemoryLinks, MemoryPackRows, type MemoryPack } from "./memory-collection.ts";
import { MemoryJournals, Space, type MemoryLink } from "./memory-journals.ts";

/** All that a server's database holds, as of one moment. */
type MetadataImage = {
  readonly spaces: readonly Space[];
  readonly places: ReadonlyMap<ChunkId, KeptChunk>;
  readonly packs: ReadonlyMap<string, MemoryPack>;
};

/** Journals and chunk index of a server in memory: the twin of its SQLite file. */
export class MemoryMetadata {
  readonly #spaces = new Map<SpaceId, Space>();
  readonly #places = new Map<ChunkId, KeptChunk>();
  readonly #packs = new Map<string, MemoryPack>();
  readonly journals: JournalStore = new MemoryJournals(this.#spaces);
  readonly chunks: ChunkIndex = new MemoryChunks(this.#spaces, this.#places, this.#packs);
  readonly scrub: ScrubIndex = new MemoryScrub(this.#spaces, this.#places);
  readonly collection: Collection = {
    links: new MemoryLinks(this.#spaces, this.#places),
    packs: new MemoryPackRows(this.#spaces, this.#places, this.#packs),
  };

  head(space: SpaceId): string {
    return this.#spaces.get(space)?.head.chain ?? CHAIN_START;
  }

  image(): MetadataImage {
    const spaces = Array.from(this.#spaces.values(), (space) => new Space(space.row, space));
    return { spaces, places: new Map(this.#places), packs: new Map(this.#packs) };
  }

  /** Puts an older state back. */
  restore({ spaces, places, packs }: MetadataImage): void {
    this.#spaces.clear();
    for (const space of spaces) {
      this.#spaces.set(space.row.id, new Space(space.row, space));
    }
    this.#places.clear();
    for (const [id, place] of places) this.#places.set(id, place);
    this.#packs.clear();
    for (const [name, pack] of packs) this.#packs.set(name, pack);
  }
}

class MemoryChunks implements ChunkIndex {
  readonly #spaces: ReadonlyMap<SpaceId, Space>;
  readonly #places: Map<ChunkId, KeptChunk>;
  readonly #packs: Map<string, MemoryPack>;

  constructor(
    spaces: ReadonlyMap<SpaceId, Space>,
    places: Map<ChunkId, KeptChunk>,
    packs: Map<string, MemoryPack>,
  ) {
    this.#spaces = spaces;
    this.#places = places;
    this.#packs = packs;
  }

  async held(space: SpaceId, ids: readonly ChunkId[]): Promise<ChunkPlace[]> {
    const links = this.#spaces.get(space)?.links;
    const places: ChunkPlace[] = [];
    for (const id of new Set(ids)) {
      const kept = links?.has(id) ? this.#places.get(id) : undefined;
      if (kept === undefined || kept.isQuarantined) continue;
      const { isQuarantined: _, ...place } = kept;
      places.push(place);
    }
    return places;
  }

  async stored(ids: readonly ChunkId[]): Promise<ReadonlySet<ChunkId>> {
    return new Set(ids.filter((id) => isSound(this.#places.get(id))));
  }

  async stage(
    space: SpaceId,
    written: readonly ChunkPlace[],
    ids: readonly ChunkId[],
    leaseMs: number,
  ): Promise<ReadonlySet<string>> {
    const links = this.#spaces.get(space)?.links;
    const places = this.#places;
    assert(links !== undefined, "chunks are staged in a space that there is");
    const added = new Set(written.map(({ id }) => id));
    const gone = ids.find((id) => !isSound(places.get(id)) && !added.has(id));
    if (gone !== undefined) {
      throw new WorldError("chunk-gone", `Chunk ${gone} is stored no more: send it again.`, {
        retryable: true,
      });
    }
    const used = new Set<string>();
    for (const place of written) {
      if (!isSound(places.get(place.id))) {
        places.set(place.id, { ...place, isQuarantined: false });
      }
      if (places.get(place.id)?.pack === place.pack) used.add(place.pack);
    }
    for (const [pack, sizeBytes] of packSizes(written)) {
      if (used.has(pack)) this.#packs.set(pack, { sizeBytes, doomedMs: null });
    }
    for (const id of ids) lease(links, id, leaseMs);
    return used;
  }

  async heldBytes(account: AccountId): Promise<number> {
    let bytes = 0;
    for (const { row, links, contents, revisions } of this.#spaces.values()) {
      if (row.account !== account) continue;
      for (const id of links.keys()) bytes += this.#places.get(id)?.lengthBytes ?? 0;
      for (const [node, all] of contents) {
        const held = new Set(all.map(({ sequence }) => sequence));
        for (const { sequence, meta } of revisions.get(node) ?? []) {
          if (held.has(sequence)) bytes += utf8(meta).length;
        }
      }
    }
    return bytes;
  }

  async renew(space: SpaceId, ids: readonly ChunkId[], leaseMs: number): Promise<void> {
    const links = this.#spaces.get(space)?.links;
    for (const id of ids) if (links?.has(id)) lease(links, id, leaseMs);
  }
}

function isSound(kept: KeptChunk | undefined): boolean {
  return kept !== undefined && !kept.isQuarantined;
}

class MemoryScrub implements ScrubIndex {
  async storedBytes(): Promise<number> {
    return [...this.#places.values()].reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
  }

  readonly #spaces: ReadonlyMap<SpaceId, Space>;
  readonly #places: Map<ChunkId, KeptChunk>;

  constructor(spaces: ReadonlyMap<SpaceId, Space>, places: Map<ChunkId, KeptChunk>) {
    this.#spaces = spaces;
    this.#places = places;
  }

  async packs(after: string, most: number): Promise<string[]> {
    const names = new Set(Array.from(this.#places.values(), ({ pack }) => pack));
    return [...names]
      .filter((name) => name > after)
      .toSorted()
      .slice(0, most);
  }

  async inPack(pack: string): Promise<KeptChunk[]> {
    return [...this.#places.values()]
      .filter((kept) => kept.pack === pack)
      .toSorted((left, right) => left.offsetBytes - right.offsetBytes);
  }

  async quarantine(places: readonly ChunkPlace[], isQuarantined: boolean): Promise<number> {
    let changed = 0;
    for (const { id, pack, offsetBytes } of places) {
      const kept = this.#places.get(id);
      const isThere = kept?.pack === pack && kept.offsetBytes === offsetBytes;
      if (!isThere || kept.isQuarantined === isQuarantined) continue;
      this.#places.set(id, { ...kept, isQuarantined });
      changed++;
    }
    return changed;
  }

  async quarantined(space: SpaceId, most: number): Promise<ChunkId[]> {
    const links = this.#spaces.get(space)?.links;
    const ids: ChunkId[] = [];
    for (const { id, isQuarantined } of this.#places.values()) {
      if (isQuarantined && links?.has(id) === true) ids.push(id);
    }
    return ids.sort().slice(0, most);
  }
}

/** Linked stays linked, and no lease is shortened. */
function lease(links: Map<ChunkId, MemoryLink>, id: ChunkId, leaseMs: number): void {
  const { leaseMs: before, touched } = links.get(id) ?? { leaseMs: 0, touched: 0 };
  if (before !== null) links.set(id, { leaseMs: Math.max(before, leaseMs), touched });
}
