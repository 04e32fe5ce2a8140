import { z } from "zod";
import { contentHash } from "../core/ids.ts";
import type { Content } from "../core/node.ts";

/** A link's target in UTF-16 units is at most what Linux lets a path be in bytes. */
const MAX_TARGET = 4_096;

const PlainMeta = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("file"),
    sizeBytes: z.int().min(0),
    sha256: z
      .string()
      .regex(/^[0-9a-f]{64}$/)
      .transform(contentHash),
    executable: z.boolean(),
    mtimeMs: z.number(),
  }),
  z.object({ kind: z.literal("folder") }),
  z.object({ kind: z.literal("symlink"), target: z.string().min(1).max(MAX_TARGET) }),
]);

export type OpenMeta = {
  readonly content: Content;
  /** Modification time of the file where it was saved, whole milliseconds; 0 for other kinds. */
  readonly mtimeMs: number;
};

/** What a node of a plain space holds, as the JSON text of a change's `meta`. */
export function writePlainMeta({ content, mtimeMs }: OpenMeta): string {
  switch (content.kind) {
    case "file": {
      const { sizeBytes, sha256, executable } = content;
      return JSON.stringify({ kind: "file", sizeBytes, sha256, executable, mtimeMs });
    }
    case "folder":
      return '{"kind":"folder"}';
    case "symlink":
      return JSON.stringify({ kind: "symlink", target: content.target });
  }
}

/** Metas that were read last; of most nodes one is read again and again. */
const MOST_KNOWN = 256;
const known = new Map<string, OpenMeta>();

/** Reads a plain space's meta; throws ZodError or SyntaxError on anything else. */
export function readPlainMeta(text: string): OpenMeta {
  const before = known.get(text);
  if (before !== undefined) return before;
  const meta = parsed(text);
  if (known.size >= MOST_KNOWN) known.clear();
  known.set(text, meta);
  return meta;
}

function parsed(text: string): OpenMeta {
  const meta = PlainMeta.parse(JSON.parse(text));
  switch (meta.kind) {
    case "file": {
      const { sizeBytes, sha256, executable, mtimeMs } = meta;
      return { content: { kind: "file", sizeBytes, sha256, executable }, mtimeMs };
    }
    case "folder":
      return { content: { kind: "folder" }, mtimeMs: 0 };
    case "symlink":
      return { content: { kind: "symlink", target: meta.target }, mtimeMs: 0 };
  }
}
