import { concat } from "#core/bytes.ts";
import { assert } from "#core/assert.ts";
import type { ChunkId, ContentHash, NodeId } from "#core/ids.ts";
import { applyDelta } from "#chunking/delta.ts";
import { openChunk, type Rebuild, type SealedEntry } from "#crypto/chunk.ts";
import type { SpaceEpochs } from "#crypto/keys.ts";
import { openPieces } from "#crypto/manifest.ts";
import { contentOf, openMeta, type FileBody } from "#crypto/meta.ts";
import { openName } from "#crypto/names.ts";
import type { Primitives } from "#crypto/primitives.ts";
import type { Change } from "#protocol/commit.ts";
import { writePlainMeta } from "#protocol/meta.ts";

/** Stored bytes of chunks, as far as there are any. */
type Chunks = ReadonlyMap<ChunkId, Uint8Array>;

/** How an oracle reads what the server has: with keys of its own, and not by a device's code. */
export interface SpaceReader {
  /** The change as a plain space has it; its chunks are those that the server has. */
  change(change: Change): Change;
  /** What a name that was in one of these changes says. */
  name(wire: string): string;
  /** What a meta that was in one of these changes says, as a plain space has it. */
  meta(wire: string): string;
  /** A file's bytes, of the chunks that its change named. */
  whole(content: ContentHash, named: readonly ChunkId[], chunks: Chunks): Uint8Array;
}

export const PLAIN_READER: SpaceReader = {
  change: (change) => change,
  name: (wire) => wire,
  meta: (wire) => wire,
  whole: (_content, named, chunks) => concat(named.map((id) => chunks.get(id) ?? EMPTY)),
};

const EMPTY = new Uint8Array(0);

/** Opens a sealed space's changes; each once, because all oracles ask for all of them. */
export class SealedReader implements SpaceReader {
  readonly #primitives: Primitives;
  readonly #epochs: SpaceEpochs;
  readonly #names = new Map<string, string>();
  readonly #metas = new Map<string, string>();
  readonly #bodies = new Map<ContentHash, FileBody>();

  /** `epochs` may grow meanwhile. */
  constructor(primitives: Primitives, epochs: SpaceEpochs) {
    this.#primitives = primitives;
    this.#epochs = epochs;
  }

  change(change: Change): Change {
    switch (change.kind) {
      case "create": {
        const { key: _token, ...rest } = change;
        return { ...rest, name: this.#name(change), meta: this.#meta(change.node, 0, change.meta) };
      }
      case "update":
        return { ...change, meta: this.#meta(change.node, change.crev, change.meta) };
      case "move": {
        const { key: _token, ...rest } = change;
        return { ...rest, name: this.#name(change) };
      }
      case "delete":
        return change;
    }
  }

  name(wire: string): string {
    return present(this.#names.get(wire));
  }

  meta(wire: string): string {
    return present(this.#metas.get(wire));
  }

  whole(content: ContentHash, named: readonly ChunkId[], chunks: Chunks): Uint8Array {
    const body = this.#bodies.get(content);
    if (body === undefined || named.length === 0)
      return body?.kind === "inline" ? body.bytes : EMPTY;
    assert(body.kind === "chunks", "a meta that names chunks lists them");
    const stored = (id: ChunkId): Uint8Array => chunks.get(id) ?? EMPTY;
    const open = (entry: SealedEntry): Uint8Array => {
      const bases = (entry.bases ?? []).map(open);
      const rebuild: Rebuild = (delta, lengthBytes) => applyDelta(bases, delta, lengthBytes);
      return openChunk(this.#primitives, entry, stored(entry.chunk), rebuild);
    };
    let { manifest } = body;
    while (manifest.level > 0) manifest = openPieces(manifest, open);
    return concat(manifest.entries.map(open));
  }

  #name({ node, parent, name }: { node: NodeId; parent: NodeId; name: string }): string {
    const known = this.#names.get(name);
    if (known !== undefined) return known;
    const opened = openName(this.#primitives, this.#epochs, { node, parent }, name);
    this.#names.set(name, opened);
    return opened;
  }

  #meta(node: NodeId, follows: number, meta: string): string {
    const known = this.#metas.get(meta);
    if (known !== undefined) return known;
    const opened = openMeta(this.#primitives, this.#epochs, { node, follows }, meta);
    const content = contentOf(this.#primitives.hashes, opened);
    if (opened.kind === "file" && content.kind === "file") {
      this.#bodies.set(content.sha256, opened.body);
    }
    const mtimeMs = opened.kind === "file" ? opened.mtimeMs : 0;
    const plain = writePlainMeta({ content, mtimeMs });
    this.#metas.set(meta, plain);
    return plain;
  }
}

function present(opened: string | undefined): string {
  assert(opened !== undefined, "no change had this name or meta");
  return opened;
}
