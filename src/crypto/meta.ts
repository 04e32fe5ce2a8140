import { assert } from "#core/assert.ts";
import { concat, toHex, utf8 } from "#core/bytes.ts";
import { WorldError } from "#core/errors.ts";
import { contentHash } from "#core/ids.ts";
import { FOLDER, type Content } from "#core/node.ts";
import { FieldReader, i64, u16 } from "./fields.ts";
import { metaContext, type MetaPlace, type SpaceEpochs, type SpaceKeys } from "./keys.ts";
import { MAX_LISTED_BYTES, readManifest, writeManifest, type Manifest } from "./manifest.ts";
import { pad, padme, unpad } from "./padding.ts";
import type { Hashes, Primitives } from "./primitives.ts";
import { openText, sealText } from "./sealed-text.ts";

/**
 * What a node of a sealed space holds, apart from its name, so that a move and an edit merge:
 * `[edition 1][kind 1][flags 1][form 1][mtime 8]`, then a file's content itself or its manifest, or
 * a symlink's target. Padded, sealed, and bound to space, node, revision and epoch.
 */
const EDITION = 1;
const KINDS = { file: 1, folder: 2, symlink: 3 } as const;
const EXECUTABLE = 1;
const INLINE = 0;
const LISTED = 1;
const HEAD_BYTES = 12;

/** A link's target in UTF-16 units is at most what Linux lets a path be in bytes. */
const MAX_TARGET = 4_096;

/** A file's bytes when they are few, else its chunks. */
export type FileBody =
  | { readonly kind: "inline"; readonly bytes: Uint8Array }
  | { readonly kind: "chunks"; readonly manifest: Manifest };

/** Files up to this size stand in their meta, and need no chunk. */
export const MAX_INLINE_BYTES = MAX_LISTED_BYTES;

export type SealedMeta =
  | {
      readonly kind: "file";
      readonly executable: boolean;
      /** Whole milliseconds. */
      readonly mtimeMs: number;
      readonly body: FileBody;
    }
  | { readonly kind: "folder" }
  | { readonly kind: "symlink"; readonly target: string };

/** What the meta says of its node's content. */
export function contentOf(hashes: Hashes, meta: SealedMeta): Content {
  switch (meta.kind) {
    case "file": {
      const { executable, body } = meta;
      if (body.kind === "chunks") {
        const { sizeBytes, sha256 } = body.manifest;
        return { kind: "file", sizeBytes, sha256, executable };
      }
      const sha256 = contentHash(toHex(hashes.sha256([body.bytes])));
      return { kind: "file", sizeBytes: body.bytes.length, sha256, executable };
    }
    case "folder":
      return FOLDER;
    case "symlink":
      return { kind: "symlink", target: meta.target };
  }
}

function write(meta: SealedMeta): Uint8Array {
  switch (meta.kind) {
    case "file": {
      const { executable, mtimeMs, body } = meta;
      const rest = body.kind === "inline" ? body.bytes : writeManifest(body.manifest);
      assert(rest.length <= MAX_LISTED_BYTES, `${rest.length} bytes are too many for a meta`);
      const form = body.kind === "inline" ? INLINE : LISTED;
      const head = Uint8Array.of(EDITION, KINDS.file, executable ? EXECUTABLE : 0, form);
      return concat([head, i64(mtimeMs), rest]);
    }
    case "folder":
      return concat([Uint8Array.of(EDITION, KINDS.folder), new Uint8Array(HEAD_BYTES - 2)]);
    case "symlink": {
      const target = utf8(meta.target);
      const head = Uint8Array.of(EDITION, KINDS.symlink);
      return concat([head, new Uint8Array(HEAD_BYTES - 2), u16(target.length), target]);
    }
  }
}

function read(bytes: Uint8Array): SealedMeta {
  const fields = new FieldReader(bytes, "bad-meta", "A node's meta");
  fields.expect(Uint8Array.of(EDITION), "edition");
  const kind = fields.u8();
  if (kind === KINDS.file) return readFile(fields);
  fields.zeros(HEAD_BYTES - 2);
  if (kind === KINDS.folder) {
    fields.end();
    return FOLDER;
  }
  if (kind !== KINDS.symlink) throw fields.bad(`its kind ${kind} is unknown`);
  const target = fields.text(fields.u16());
  if (target === "" || target.length > MAX_TARGET) throw fields.bad("its target is impossible");
  fields.end();
  return { kind: "symlink", target };
}

function readFile(fields: FieldReader): SealedMeta {
  const flags = fields.u8();
  if (flags > EXECUTABLE) throw fields.bad("its flags are unknown");
  const form = fields.u8();
  const mtimeMs = fields.i64();
  if (fields.left > MAX_LISTED_BYTES) throw fields.bad("it is too long");
  const rest = fields.bytes(fields.left);
  if (form !== INLINE && form !== LISTED) throw fields.bad(`its form ${form} is unknown`);
  const body: FileBody =
    form === INLINE
      ? { kind: "inline", bytes: rest }
      : { kind: "chunks", manifest: readManifest(rest) };
  return { kind: "file", executable: flags === EXECUTABLE, mtimeMs, body };
}

/** The meta of a change, as the wire has it. */
export function sealMeta(
  primitives: Primitives,
  keys: SpaceKeys,
  place: MetaPlace,
  meta: SealedMeta,
): string {
  return sealText(primitives, keys, metaContext(keys, place), pad(write(meta), padme));
}

/** Throws WorldError `bad-meta`, `bad-manifest`, `bad-seal`, or `unknown-epoch`. */
export function openMeta(
  primitives: Primitives,
  epochs: SpaceEpochs,
  place: MetaPlace,
  text: string,
): SealedMeta {
  const padded = openText(primitives, epochs, (keys) => metaContext(keys, place), text);
  const bytes = unpad(padded, padme);
  if (bytes === null)
    throw new WorldError("bad-meta", "A node's meta is not padded as it must be.");
  return read(bytes);
}
