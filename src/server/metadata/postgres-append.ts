import type { SpaceId } from "#core/ids.ts";
import { hexOf, integerOf, packChunkIds, packLengths, raw } from "./rows.ts";
import { namedChunks, writeEntry } from "./entries.ts";
import type { Append, NodeRow } from "./port.ts";
import { NEWS_CHANNEL, type Run } from "./postgres-database.ts";

/**
 * Writes what one commit changes, or nothing when the space does not hold one of the chunks; runs
 * within a transaction that has locked the space's row.
 */
export async function appendTo(
  run: Run,
  space: SpaceId,
  append: Append,
): Promise<"appended" | "missing-chunks"> {
  const { entry } = append;
  const owner = raw(space);
  const chunks = [...new Set(namedChunks(entry))].map(raw);
  if (chunks.length > 0 && !(await link(run, owner, chunks, entry.sequence))) {
    return "missing-chunks";
  }
  const { text, chunks: ids } = writeEntry(entry);
  const [sequence, chain] = [entry.sequence, raw(entry.chain)];
  await run(
    `INSERT INTO journal (space, sequence, commit_id, chain, entry, chunks)
     VALUES ($1, $2, $3, $4, $5, $6)`,
    [owner, sequence, raw(entry.commitId), chain, text, ids],
  );
  await run("UPDATE spaces SET head = $2, chain = $3 WHERE id = $1", [owner, sequence, chain]);
  await writeNodes(run, owner, append);
  // Heard when the transaction commits, and not at all when it does not.
  await run("SELECT pg_notify($1, $2)", [NEWS_CHANNEL, `${space} ${sequence}`]);
  return "appended";
}

/** Links chunks for good; false when one is not held. Links go only under the space's lock. */
async function link(
  run: Run,
  owner: Uint8Array,
  chunks: readonly Uint8Array[],
  sequence: number,
): Promise<boolean> {
  const held = await run(
    "SELECT count(*) AS held FROM links WHERE space = $1 AND chunk = ANY ($2::bytea[])",
    [owner, chunks],
  );
  if (integerOf(held.rows[0] ?? {}, "held") !== chunks.length) return false;
  await run(
    `UPDATE links SET lease_ms = NULL, touched = $3
     WHERE space = $1 AND chunk = ANY ($2::bytea[])`,
    [owner, chunks, sequence],
  );
  return true;
}

async function writeNodes(run: Run, owner: Uint8Array, { entry, nodes }: Append): Promise<void> {
  const { sequence, timeMs } = entry;
  const rewritten = new Set<string>();
  const placed: Uint8Array[] = [];
  for (const change of entry.changes) {
    if (change.kind === "create" || change.kind === "update") rewritten.add(change.node);
    if (change.kind === "move" || change.kind === "delete") placed.push(raw(change.node));
  }
  // Names of a ring swap owners within one commit: all that move or go leave the index of the
  // living first.
  if (placed.length > 0) {
    await run("UPDATE nodes SET deleted = 1 WHERE space = $1 AND id = ANY ($2::bytea[])", [
      owner,
      placed,
    ]);
  }
  const kept = nodes.filter(({ id }) => !rewritten.has(id));
  const contents = await contentsOf(run, owner, kept);
  await addContents(
    run,
    owner,
    sequence,
    nodes.filter(({ id }) => rewritten.has(id)),
  );
  const device = entry.device === undefined ? null : raw(entry.device);
  const columns = [
    nodes.map(({ id }) => raw(id)),
    nodes.map(({ type }) => type),
    nodes.map(({ parent }) => raw(parent)),
    nodes.map(({ name }) => name),
    nodes.map(({ key }) => key),
    nodes.map(({ id }) => contents.get(id) ?? sequence),
    nodes.map(({ crev }) => crev),
    nodes.map(({ lrev }) => lrev),
    nodes.map(({ deleted }) => (deleted ? 1 : 0)),
  ];
  await run(
    `INSERT INTO nodes
     (space, id, type, parent, name, key, content, crev, lrev, changed, deleted)
     SELECT $1::bytea, w.id, w.type, w.parent, w.name, w.key, w.content, w.crev, w.lrev,
       $2::bigint, w.deleted
     FROM ${ROWS_OF_NODES}
     ON CONFLICT (space, id) DO UPDATE SET
       parent = excluded.parent, name = excluded.name, key = excluded.key,
       content = excluded.content, crev = excluded.crev, lrev = excluded.lrev,
       changed = excluded.changed, deleted = excluded.deleted`,
    [owner, sequence, ...columns],
  );
  await run(
    `INSERT INTO revisions
     (space, id, sequence, type, parent, name, key, content, crev, lrev, deleted, time_ms, device)
     SELECT $1::bytea, w.id, $2::bigint, w.type, w.parent, w.name, w.key, w.content, w.crev,
       w.lrev, w.deleted, $12::bigint, $13::bytea
     FROM ${ROWS_OF_NODES}`,
    [owner, sequence, ...columns, timeMs, device],
  );
}

const ROWS_OF_NODES = `unnest($3::bytea[], $4::text[], $5::bytea[], $6::text[], $7::text[],
  $8::bigint[], $9::bigint[], $10::bigint[], $11::integer[])
  AS w (id, type, parent, name, key, content, crev, lrev, deleted)`;

/** The sequences that the present contents of nodes were written at. */
async function contentsOf(
  run: Run,
  owner: Uint8Array,
  nodes: readonly NodeRow[],
): Promise<Map<string, number>> {
  if (nodes.length === 0) return new Map();
  const { rows } = await run(
    "SELECT id, content FROM nodes WHERE space = $1 AND id = ANY ($2::bytea[])",
    [owner, nodes.map(({ id }) => raw(id))],
  );
  return new Map(rows.map((row) => [hexOf(row, "id"), integerOf(row, "content")]));
}

async function addContents(
  run: Run,
  owner: Uint8Array,
  sequence: number,
  nodes: readonly NodeRow[],
): Promise<void> {
  if (nodes.length === 0) return;
  await run(
    `INSERT INTO contents (space, node, sequence, meta, chunks, lengths)
     SELECT $1::bytea, w.node, $2::bigint, w.meta, w.chunks, w.lengths
     FROM unnest($3::bytea[], $4::text[], $5::bytea[], $6::bytea[])
       AS w (node, meta, chunks, lengths)`,
    [
      owner,
      sequence,
      nodes.map(({ id }) => raw(id)),
      nodes.map(({ meta }) => meta),
      nodes.map(({ chunks }) => packChunkIds(chunks)),
      nodes.map(({ lengths }) => (lengths === undefined ? null : packLengths(lengths))),
    ],
  );
}
