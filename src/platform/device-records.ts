import type { StatementSync } from "node:sqlite";
import { fromHex, toHex } from "#core/bytes.ts";
import { chunkId } from "#core/ids.ts";
import type { ChunkId, ContentHash, NodeId } from "#core/ids.ts";
import type { Manifest, ManifestEntry } from "#core/node.ts";
import type { ChunkSource, DeviceRecords } from "#sync/ports.ts";
import type { DeviceFile } from "./device-schema.ts";
import type { Side, SqliteTreeStore } from "./tree-store.ts";

/**
 * In a manifest's blob: 32 bytes of chunk id, 4 bytes of length, big endian, one after the other.
 */
const PIECE_BYTES = 36;

/** A chunk of zeros may lie in a million places; any few of them serve. */
const MAX_SOURCES = 64;

/** Manifests at hand, and the pieces of one at most: a few hundred kilobytes together. */
const MAX_KEPT_MANIFESTS = 1_024;
const MAX_KEPT_PIECES = 2;

function packManifest(manifest: Manifest): Uint8Array {
  const packed = new Uint8Array(manifest.length * PIECE_BYTES);
  const view = new DataView(packed.buffer);
  for (const [index, { chunk, lengthBytes }] of manifest.entries()) {
    packed.set(fromHex(chunk), index * PIECE_BYTES);
    view.setUint32(index * PIECE_BYTES + 32, lengthBytes);
  }
  return packed;
}

function unpackManifest(packed: Uint8Array): Manifest {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  const manifest: ManifestEntry[] = [];
  for (let at = 0; at < packed.length; at += PIECE_BYTES) {
    const chunk = chunkId(toHex(packed.subarray(at, at + 32)));
    manifest.push({ chunk, lengthBytes: view.getUint32(at + 32) });
  }
  return manifest;
}

/** Everything in the device's database but the trees. */
export class SqliteDeviceRecords implements DeviceRecords {
  readonly #file: DeviceFile;
  readonly #trees: SqliteTreeStore;
  /** Of small files, since they were last too many: what is sent is asked for several times. */
  readonly #manifests = new Map<ContentHash, Manifest>();
  readonly #setting: StatementSync;
  readonly #setSetting: StatementSync;
  readonly #forgetSetting: StatementSync;
  readonly #manifest: StatementSync;
  readonly #putManifest: StatementSync;
  readonly #sources: StatementSync;
  readonly #addSource: StatementSync;
  readonly #forgetSources: StatementSync;
  readonly #dropManifests: StatementSync;
  readonly #dropSources: StatementSync;
  readonly #dropSignatures: StatementSync;

  constructor(file: DeviceFile, trees: SqliteTreeStore) {
    this.#file = file;
    this.#trees = trees;
    this.#setting = file.prepare("SELECT value FROM settings WHERE name = ?");
    this.#setSetting = file.prepare("INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)");
    this.#forgetSetting = file.prepare("DELETE FROM settings WHERE name = ?");
    this.#manifest = file.prepare("SELECT pieces FROM manifests WHERE content = ?");
    this.#putManifest = file.prepare(
      "INSERT INTO manifests (content, pieces) VALUES (?, ?) " +
        "ON CONFLICT (content) DO UPDATE SET pieces = excluded.pieces",
    );
    this.#sources = file.prepare(
      `SELECT node, offset, length FROM sources WHERE chunk = ? LIMIT ${MAX_SOURCES}`,
    );
    this.#addSource = file.prepare(
      "INSERT INTO sources (chunk, node, offset, length) VALUES (?, ?, ?, ?)",
    );
    this.#forgetSources = file.prepare("DELETE FROM sources WHERE node = ?");
    // A file's content ends in its hash; a side without one has it from the side before.
    this.#dropManifests = file.prepare(
      `DELETE FROM manifests WHERE content NOT IN (SELECT substr(text, -64) FROM (
        SELECT remote_content AS text FROM nodes WHERE kind = 'file'
        UNION ALL SELECT synced_content FROM nodes WHERE kind = 'file'
        UNION ALL SELECT local_content FROM nodes WHERE kind = 'file'
      ) WHERE text IS NOT NULL)`,
    );
    this.#dropSources = file.prepare(
      `DELETE FROM sources WHERE node IN (SELECT DISTINCT node FROM sources
        EXCEPT SELECT id FROM nodes WHERE local_parent IS NOT NULL)`,
    );
    this.#dropSignatures = file.prepare(
      "DELETE FROM signatures WHERE signature IS NOT NULL " +
        "AND NOT EXISTS (SELECT 1 FROM sources WHERE chunk = raw)",
    );
  }

  setting(name: string): string | undefined {
    const cells = this.#file.guard(() => this.#setting.get(name)) as unknown as
      | [string]
      | undefined;
    return cells?.[0];
  }

  setSetting(name: string, value: string | null): void {
    this.#file.guard(() => {
      if (value === null) this.#forgetSetting.run(name);
      else this.#setSetting.run(name, value);
    });
  }

  manifest(content: ContentHash): Manifest | undefined {
    const known = this.#manifests.get(content);
    if (known !== undefined) return known;
    const found = this.#file.guard(() => this.#manifest.get(content));
    const cells = found as unknown as [Uint8Array] | undefined;
    if (cells === undefined) return undefined;
    const manifest = unpackManifest(cells[0]);
    if (manifest.length <= MAX_KEPT_PIECES) this.#keep(content, manifest);
    return manifest;
  }

  #keep(content: ContentHash, manifest: Manifest): void {
    if (this.#manifests.size >= MAX_KEPT_MANIFESTS) this.#manifests.clear();
    this.#manifests.set(content, manifest);
  }

  putManifest(content: ContentHash, manifest: Manifest): void {
    this.#manifests.delete(content);
    this.#file.guard(() => this.#putManifest.run(content, packManifest(manifest)));
  }

  sources(chunk: ChunkId): ChunkSource[] {
    const found = this.#file.guard(() => this.#sources.all(fromHex(chunk)));
    return (found as unknown as [NodeId, number, number][]).map(
      ([node, offsetBytes, lengthBytes]) => ({ node, offsetBytes, lengthBytes }),
    );
  }

  setSources(node: NodeId, manifest: Manifest | null): void {
    this.#file.transaction(() => {
      this.#forgetSources.run(node);
      let offset = 0;
      for (const { chunk, lengthBytes } of manifest ?? []) {
        this.#addSource.run(fromHex(chunk), node, offset, lengthBytes);
        offset += lengthBytes;
      }
    });
  }

  dropUnnamed(): void {
    this.#manifests.clear();
    this.#file.transaction(() => {
      this.#dropManifests.run();
      this.#dropSources.run();
      this.#dropSignatures.run();
    });
  }

  count(side: Side): number {
    return this.#trees.count(side);
  }
}
