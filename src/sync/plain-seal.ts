import { WorldError } from "#core/errors.ts";
import type { ManifestEntry } from "#core/node.ts";
import { readPlainMeta, writePlainMeta, type OpenMeta } from "#protocol/meta.ts";
import type { ClosedContent, DeviceRecords, OpenContent, Seal } from "./ports.ts";

/** A plain space's seal: everything stands in the clear, checked all the same. */
export function plainSeal(records: Pick<DeviceRecords, "manifest">): Seal {
  return {
    ...OPEN,
    named: ({ sha256 }) => (records.manifest(sha256) ?? []).map(({ chunk }) => chunk),
  };
}

const OPEN: Omit<Seal, "named"> = {
  inlineBytes: 0,
  hashes: false,
  trusts: true,
  knows: () => true,
  prepare: async () => undefined,
  rest: async () => false,
  manifest: async () => undefined,
  sign: (commit) => commit,
  check: () => undefined,
  closeName: (_node, _parent, name) => ({ name }),
  openName: (_node, _parent, name) => name,
  closeContent: (_node, _follows, { content, mtimeMs, manifest }): ClosedContent => {
    const meta = writePlainMeta({ content, mtimeMs });
    if (content.kind !== "file") return { meta, chunks: [] };
    const chunks = manifest.map(({ chunk }) => chunk);
    return { meta, chunks, lengths: manifest.map(({ lengthBytes }) => lengthBytes) };
  },
  openContent: (_node, _follows, { meta, chunks, lengths = [] }): OpenContent => {
    let open: OpenMeta;
    try {
      open = readPlainMeta(meta);
    } catch (cause) {
      throw new WorldError("bad-meta", "The server sent a content that cannot be read.", { cause });
    }
    const { content, mtimeMs } = open;
    if (chunks.length !== lengths.length) {
      throw new WorldError("bad-meta", "The server sent a chunk list without its lengths.");
    }
    const manifest = chunks.map((chunk, at): ManifestEntry => {
      return { chunk, lengthBytes: lengths[at] ?? 0 };
    });
    const sum = manifest.reduce((total, { lengthBytes }) => total + lengthBytes, 0);
    if (sum !== (content.kind === "file" ? content.sizeBytes : 0)) {
      throw new WorldError("bad-meta", `The server sent ${sum} bytes of chunks for another size.`);
    }
    return { content, mtimeMs, manifest };
  },
};
