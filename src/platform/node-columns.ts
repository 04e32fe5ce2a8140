import type { SQLInputValue } from "node:sqlite";
import type { ContentHash, NodeId } from "#core/ids.ts";
import type { Content, NodeKind, Place } from "#core/node.ts";
import { FOLDER } from "#core/node.ts";
import type {
  Blindness,
  LocalSide,
  NodeRow,
  Placing,
  RemoteSide,
  Stamp,
  SyncedSide,
} from "#sync/tree.ts";
import { agrees } from "#sync/tree.ts";

// A node's row as columns and back. What was written here is trusted when it is read: ids and
// hashes were parsed when they came in, and damage to the file is SQLite's to find.

/** The columns of `nodes` that a row is read from, in the order of `readRow`. */
export const READ_COLUMNS = `id, kind,
  remote_parent, remote_name, remote_content, remote_mtime_ms, remote_crev, remote_lrev,
  synced_parent, synced_name, synced_content, synced_file,
  local_parent, local_name, local_content, local_file, local_stamp, local_executable,
  local_racy, local_blind, local_missed_ms, parked_parent, parked_name, displacing, placing,
  synced_crev, synced_lrev`;

/** The columns of `nodes` that a row is written to, in the order of `writeRow`. */
export const WRITE_COLUMNS = `id kind changed
  remote_parent remote_key remote_name remote_content remote_mtime_ms remote_crev remote_lrev
  synced_parent synced_key synced_name synced_content synced_file
  local_parent local_key local_name local_content local_file local_stamp local_executable
  local_racy local_blind local_missed_ms parked_parent parked_name displacing placing
  synced_crev synced_lrev`.split(/\s+/);

/** A content that was not read yet: unlike NULL, which says "as on the side before". */
const UNREAD = "?";

function contentText(content: Content | null): string {
  if (content === null) return UNREAD;
  switch (content.kind) {
    case "file":
      return `${content.executable ? "x" : "f"}${content.sizeBytes} ${content.sha256}`;
    case "folder":
      return "d";
    case "symlink":
      return `l${content.target}`;
  }
}

function contentOf(text: string): Content | null {
  switch (text.charCodeAt(0)) {
    case 0x64: // d
      return FOLDER;
    case 0x6c: // l
      return { kind: "symlink", target: text.slice(1) };
    case 0x3f: // ?
      return null;
    default: {
      const space = text.indexOf(" ");
      return {
        kind: "file",
        sizeBytes: Number(text.slice(1, space)),
        sha256: text.slice(space + 1) as ContentHash,
        executable: text.startsWith("x"),
      };
    }
  }
}

function stampText({ sizeBytes, mtimeNs, ctimeNs }: Stamp): string {
  return `${sizeBytes} ${mtimeNs} ${ctimeNs}`;
}

// Text and not INTEGER: a time past the year 2262 does not fit into 64 bits of nanoseconds.
function stampOfText(text: string): Stamp {
  const first = text.indexOf(" ");
  const second = text.indexOf(" ", first + 1);
  return {
    sizeBytes: Number(text.slice(0, first)),
    mtimeNs: BigInt(text.slice(first + 1, second)),
    ctimeNs: BigInt(text.slice(second + 1)),
  };
}

/** The values of WRITE_COLUMNS; `keyOf` is what names are compared by in this space. */
export function writeRow(row: NodeRow, keyOf: (name: string) => string): SQLInputValue[] {
  const { remote, synced, local } = row;
  const remoteKey = remote === null ? null : keyOf(remote.name);
  const remoteContent = remote === null ? null : contentText(remote.content);
  const syncedSame = remote !== null && synced?.name === remote.name;
  const syncedKey = synced === null || syncedSame ? remoteKey : keyOf(synced.name);
  const syncedContent = synced === null ? null : contentText(synced.content);
  const before = synced ?? remote;
  const localSame = before !== null && local?.name === before.name;
  const beforeKey = synced === null ? remoteKey : syncedKey;
  const beforeContent = synced === null ? remoteContent : syncedContent;
  const localContent = local === null ? null : contentText(local.content);
  return [
    row.id,
    row.kind,
    agrees(row) ? 0 : 1,
    remote?.parent ?? null,
    remoteKey,
    remote?.name ?? null,
    remoteContent,
    remote?.mtimeMs ?? null,
    remote?.crev ?? null,
    remote?.lrev ?? null,
    synced?.parent ?? null,
    synced === null ? null : syncedKey,
    syncedSame ? null : (synced?.name ?? null),
    syncedContent === remoteContent ? null : syncedContent,
    synced?.file ?? null,
    local?.parent ?? null,
    local === null ? null : localSame ? beforeKey : keyOf(local.name),
    localSame ? null : (local?.name ?? null),
    localContent === beforeContent ? null : localContent,
    local?.file ?? null,
    local === null ? null : stampText(local.stamp),
    local === null ? null : Number(local.executable),
    local === null ? null : Number(local.racy),
    local?.blind ?? null,
    local?.missedMs ?? null,
    local?.parkedFrom?.parent ?? null,
    local?.parkedFrom?.name ?? null,
    row.displacing,
    row.placing === null ? null : JSON.stringify(row.placing),
    synced?.crev === remote?.crev ? null : (synced?.crev ?? null),
    synced?.lrev === remote?.lrev ? null : (synced?.lrev ?? null),
  ];
}

type Cell = string | number | null;

/** A row from the values of READ_COLUMNS. */
export function readRow(cells: readonly Cell[]): NodeRow {
  const remote = cells[2] === null ? null : readRemote(cells);
  const synced = cells[8] === null ? null : readSynced(cells, remote);
  const local = cells[12] === null ? null : readLocal(cells, synced ?? remote);
  return {
    id: cells[0] as NodeId,
    kind: cells[1] as NodeKind,
    remote,
    synced,
    local,
    displacing: cells[23] as string | null,
    placing: cells[24] === null ? null : (JSON.parse(cells[24] as string) as Placing),
  };
}

function readRemote(cells: readonly Cell[]): RemoteSide {
  return {
    parent: cells[2] as NodeId,
    name: cells[3] as string,
    content: contentOf(cells[4] as string) as Content,
    mtimeMs: cells[5] as number,
    crev: cells[6] as number,
    lrev: cells[7] as number,
  };
}

function readSynced(cells: readonly Cell[], before: RemoteSide | null): SyncedSide {
  const name = cells[9] as string | null;
  const content = cells[10] as string | null;
  return {
    parent: cells[8] as NodeId,
    name: name ?? (before as RemoteSide).name,
    content: content === null ? (before as RemoteSide).content : (contentOf(content) as Content),
    file: cells[11] as string,
    crev: (cells[25] as number | null) ?? (before as RemoteSide).crev,
    lrev: (cells[26] as number | null) ?? (before as RemoteSide).lrev,
  };
}

type Before = Place & { readonly content: Content };

function readLocal(cells: readonly Cell[], before: Before | null): LocalSide {
  const name = cells[13] as string | null;
  const content = cells[14] as string | null;
  const parkedParent = cells[21] as NodeId | null;
  return {
    parent: cells[12] as NodeId,
    name: name ?? (before as Before).name,
    content: content === null ? (before as Before).content : contentOf(content),
    file: cells[15] as string,
    stamp: stampOfText(cells[16] as string),
    executable: cells[17] === 1,
    racy: cells[18] === 1,
    blind: cells[19] as Blindness | null,
    missedMs: cells[20] as number | null,
    parkedFrom: parkedParent === null ? null : { parent: parkedParent, name: cells[22] as string },
  };
}
