import type { NodeId } from "#core/ids.ts";
import type { Entry } from "#protocol/feed.ts";
import type { Append } from "./port.ts";
import { namedChunks, writeEntry } from "./entries.ts";
import type { SqliteFile } from "./sqlite-file.ts";
import { integerOf, packChunkIds, packLengths, raw } from "./rows.ts";

function statements(file: SqliteFile) {
  return {
    setHead: file.prepare("UPDATE spaces SET head = ?, chain = ? WHERE id = ?"),
    addEntry: file.prepare(
      `INSERT INTO journal (space, sequence, commit_id, chain, entry, chunks)
       VALUES (?, ?, ?, ?, ?, ?)`,
    ),
    addContent: file.prepare(
      `INSERT INTO contents (space, node, sequence, meta, chunks, lengths)
       VALUES (?, ?, ?, ?, ?, ?)`,
    ),
    // Names of a ring swap owners within one commit: all that move or go leave the index of the
    // living first.
    park: file.prepare("UPDATE nodes SET deleted = 1 WHERE space = ? AND id = ?"),
    setNode: file.prepare(
      `INSERT INTO nodes
       (space, id, type, parent, name, key, content, crev, lrev, changed, deleted)
       VALUES ($space, $id, $type, $parent, $name, $key, $content, $crev, $lrev, $sequence,
         $deleted)
       ON CONFLICT (space, id) DO UPDATE SET
         parent = excluded.parent, name = excluded.name, key = excluded.key,
         content = excluded.content, crev = excluded.crev, lrev = excluded.lrev,
         changed = excluded.changed, deleted = excluded.deleted`,
    ),
    content: file.prepare("SELECT content FROM nodes WHERE space = ? AND id = ?"),
    addRevision: file.prepare(
      `INSERT INTO revisions
       (space, id, sequence, type, parent, name, key, content, crev, lrev, deleted, time_ms, device)
       VALUES ($space, $id, $sequence, $type, $parent, $name, $key, $content, $crev, $lrev,
         $deleted, $timeMs, $device)`,
    ),
    linked: file.prepare("SELECT 1 AS linked FROM links WHERE space = ? AND chunk = ?"),
    link: file.prepare(
      "UPDATE links SET lease_ms = NULL, touched = ? WHERE space = ? AND chunk = ?",
    ),
  };
}

/** Writes what one commit changes; runs within a transaction that the caller opened. */
export class SqliteAppender {
  readonly #sql: ReturnType<typeof statements>;

  constructor(file: SqliteFile) {
    this.#sql = statements(file);
  }

  /** Writes all, or nothing when the space does not hold one of the chunks. */
  append(owner: Uint8Array, append: Append): "appended" | "missing-chunks" {
    const { entry } = append;
    const chunks = [...new Set(namedChunks(entry))].map(raw);
    const held = chunks.every((chunk) => this.#sql.linked.get(owner, chunk) !== undefined);
    if (!held) return "missing-chunks";
    for (const chunk of chunks) this.#sql.link.run(entry.sequence, owner, chunk);
    this.#appendEntry(owner, entry);
    this.#appendNodes(owner, append);
    return "appended";
  }

  #appendEntry(owner: Uint8Array, entry: Entry): void {
    const { sequence } = entry;
    const chain = raw(entry.chain);
    const { text, chunks } = writeEntry(entry);
    this.#sql.addEntry.run(owner, sequence, raw(entry.commitId), chain, text, chunks);
    this.#sql.setHead.run(sequence, chain, owner);
  }

  #appendNodes(owner: Uint8Array, { entry, nodes }: Append): void {
    const { sequence, timeMs } = entry;
    const device = entry.device === undefined ? null : raw(entry.device);
    const rewritten = new Set<NodeId>();
    for (const change of entry.changes) {
      if (change.kind === "create" || change.kind === "update") rewritten.add(change.node);
      if (change.kind !== "create") this.#sql.park.run(owner, raw(change.node));
    }
    for (const node of nodes) {
      const id = raw(node.id);
      const content = rewritten.has(node.id) ? sequence : this.#contentOf(owner, id);
      if (content === sequence) {
        const lengths = node.lengths === undefined ? null : packLengths(node.lengths);
        const chunks = packChunkIds(node.chunks);
        this.#sql.addContent.run(owner, id, sequence, node.meta, chunks, lengths);
      }
      const columns = {
        space: owner,
        id,
        sequence,
        type: node.type,
        parent: raw(node.parent),
        name: node.name,
        key: node.key,
        content,
        crev: node.crev,
        lrev: node.lrev,
        deleted: node.deleted ? 1 : 0,
      };
      this.#sql.setNode.run(columns);
      this.#sql.addRevision.run({ ...columns, timeMs, device });
    }
  }

  /** The sequence that a node's present content was written at. */
  #contentOf(owner: Uint8Array, id: Uint8Array): number {
    return integerOf(this.#sql.content.get(owner, id) ?? {}, "content");
  }
}
