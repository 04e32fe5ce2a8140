import { isDeepStrictEqual } from "node:util";
import { ROOT_NODE, type NodeId } from "#core/ids.ts";
import { sameContent, samePlace } from "#core/node.ts";
import { readConflictName } from "#sync/conflict.ts";
import type { Plan } from "#sync/planner.ts";
import { agrees } from "#sync/tree.ts";
import { shownContent, type Tally } from "./planner-deeds.ts";
import type { ModelDevice } from "./planner-device.ts";
import { unsettled } from "./planner-rows.ts";
import type { ModelServer } from "./planner-server.ts";

/** What must be true of every plan and of every case's end, as sentences on what is not. */

/**
 * Plans, and holds the plan to SPEC PL10: it is the same again, on all rows as on those that do not
 * agree, and after its own records were stored.
 */
export function examined(device: ModelDevice, wrong: string[]): Plan {
  const before = device.peek();
  const whole = device.peek(unsettled(device.rows));
  if (!isDeepStrictEqual(whole, before)) wrong.push("planning on all rows is another plan");
  const planned = device.plan();
  if (!isDeepStrictEqual(planned, before)) wrong.push("planning again is another plan");
  const after = device.peek();
  if (after.records.length > 0) wrong.push("what was stored is changed by the next plan");
  if (!isDeepStrictEqual([after.local, after.remote], [planned.local, planned.remote])) {
    wrong.push("storing the records changes the plan");
  }
  return planned;
}

/** What cannot be seen is left alone on both sides, with all that is below it (SPEC PL9). */
export function unsighted({ name, rows }: ModelDevice, { local, remote }: Plan): string[] {
  const wrong: string[] = [];
  for (const { id } of [...local, ...remote]) {
    if (rows.get(id)?.local?.content === null) wrong.push(`${name} plans with unread ${id}`);
    const seen = new Set<NodeId>();
    for (let at = id; at !== ROOT_NODE && !seen.has(at);) {
      seen.add(at);
      const row = rows.get(at);
      if (row?.local && row.local.blind !== null) {
        wrong.push(`${name} plans with what it cannot see: ${at}`);
      }
      at = (row?.local ?? row?.remote ?? row?.synced)?.parent ?? ROOT_NODE;
    }
  }
  return wrong;
}

/** All devices hold what the server holds, and have agreed on it. */
export function differences(devices: readonly ModelDevice[], server: ModelServer): string[] {
  const wrong: string[] = [];
  const living = server.living();
  for (const { name, rows } of devices) {
    const all = rows.all();
    if (all.length !== living.size) wrong.push(`${name} has ${all.length} of ${living.size} nodes`);
    for (const row of all) {
      const known = living.get(row.id);
      const isSame =
        known !== undefined &&
        agrees(row) &&
        row.local !== null &&
        row.local.content !== null &&
        samePlace(row.local, known.row) &&
        sameContent(row.local.content, known.content);
      if (!isSame) wrong.push(`${name} and the server differ in ${row.id}`);
    }
  }
  return wrong;
}

/** What people saved and nobody destroyed is there; of the rest there is a history. */
export function losses(tally: Tally, server: ModelServer): string[] {
  const present = new Set<string>();
  for (const { content } of server.living().values()) {
    if (content.kind === "file") present.add(content.sha256);
  }
  const wrong: string[] = [];
  for (const { sha256, orPast } of tally.owed()) {
    if (present.has(sha256) || (orPast && server.remembers(sha256))) continue;
    wrong.push(`lost: ${Number.parseInt(sha256, 16)}`);
  }
  return wrong;
}

/** Where one person alone works, the tree is as that person left it, and nothing else happens. */
export function interference(alone: ModelDevice, wanted: ReadonlyMap<string, string>): string[] {
  const wrong: string[] = [];
  const paths = pathsOf(alone);
  if (!isDeepStrictEqual(paths, wanted)) {
    wrong.push(`one person alone wanted ${shown(wanted)} and has ${shown(paths)}`);
  }
  if (alone.done.some((step) => step.startsWith("disk"))) {
    wrong.push(`one person alone was interfered with: ${alone.done.join(", ")}`);
  }
  for (const path of paths.keys()) {
    if (readConflictName(path.slice(path.lastIndexOf("/") + 1)) === null) continue;
    wrong.push(`a conflict copy of one person alone: ${path}`);
  }
  return wrong;
}

/** The rows that do not agree: remote, synced and local side of each. */
export function openRows({ name, rows }: ModelDevice): string[] {
  return rows.changed().map((row) => {
    const sides = [row.remote, row.synced, row.local].map((at) => {
      if (at === null) return "-";
      const text = at.content === null ? "?" : shownContent(at.content);
      const unseen = "blind" in at && at.blind !== null ? ` ${at.blind}` : "";
      return `${at.parent.slice(0, 8)}/${at.name}=${text}${unseen}`;
    });
    return `${name} ${row.id.slice(0, 8)} ${sides.join(" ")} ${row.displacing ?? ""}`;
  });
}

/** Paths on a device's disk, and what stands there. */
export function pathsOf({ rows }: ModelDevice): Map<string, string> {
  const paths = new Map<string, string>();
  const walk = (parent: NodeId, above: string): void => {
    for (const { id, kind, local } of rows.children("local", parent)) {
      if (local === null) continue;
      const path = `${above}${local.name}`;
      paths.set(path, local.content === null ? "?" : shownContent(local.content));
      if (kind === "folder") walk(id, `${path}/`);
    }
  };
  walk(ROOT_NODE, "");
  return new Map([...paths].sort(([left], [right]) => (left < right ? -1 : 1)));
}

function shown(paths: ReadonlyMap<string, string>): string {
  return [...paths].map(([path, text]) => `${path}=${text}`).join(", ");
}
