import { lstatSync, type BigIntStats } from "node:fs";
import { join } from "node:path";
import { PRIVATE_FOLDER } from "#core/names.ts";
import { sameContent, type Content } from "#core/node.ts";
import { statOf } from "#platform/stat.ts";
import type { Status } from "#sync/status.ts";
import { askLookUp } from "./ask-device.ts";
import { currentStatus, type FolderStatus } from "./current-status.ts";
import { isFolderAt, readRulesFor } from "./ignore-files.ts";
import type { Home } from "./home.ts";
import type { LinkedFolder } from "./links.ts";
import { seenAs, type NodeReport, type PathReport } from "./nodes.ts";
import { bytesText, counted, shown } from "./output.ts";

export type Explanation = {
  readonly inSync: boolean;
  readonly sentences: readonly string[];
};

/**
 * Where one path stands on this disk and at the server, what is in the way, and what comes next.
 */
export async function explainPath(
  home: Home,
  folder: LinkedFolder,
  path: string,
): Promise<Explanation> {
  const status = await currentStatus(home, folder);
  const problems = problemsAt(status, path);
  if (path === "") return explainRoot(status);
  if (path === PRIVATE_FOLDER || path.startsWith(`${PRIVATE_FOLDER}/`)) {
    return { inSync: true, sentences: ["This is Lockstep's own and is never synced."] };
  }
  const ignored = ignoredBy(folder, path);
  if (ignored !== null) return { inSync: false, sentences: [ignored, ...problems] };
  const found = await askLookUp(folder, path);
  const stat = lookAt(join(folder.link.dir, path));
  const isAgreed = found.here?.agrees === true && found.here.node === found.server?.node;
  const isSyncable = problems.length === 0;
  const standing = isAgreed ? agreement(found.here) : difference(found, stat, isSyncable);
  const since = status.runs ? [] : changedSince(found.here, stat);
  const inSync = isAgreed && since.length === 0;
  const next = inSync || problems.length > 0 ? [] : nextStep(status);
  const doubt = inSync ? doubtOf(status) : [];
  const sentences = [...asOf(status), ...standing, ...doubt, ...since, ...problems, ...next];
  return { inSync, sentences };
}

/** What stands there; undefined also where this user may not look: the engine says why. */
function lookAt(path: string): BigIntStats | undefined {
  try {
    return lstatSync(path, { bigint: true, throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

/** Why what the engine saw last may not be so any more. */
function doubtOf({ state, reason }: FolderStatus): string[] {
  return reason !== null && (state === "halted" || state === "working") ? [reason] : [];
}

/** What no engine has seen yet of a path that one knew. */
function changedSince(known: NodeReport | null, stat: BigIntStats | undefined): string[] {
  if (known === null || known.here === null) return [];
  if (stat === undefined) return ["It is gone from this disk since."];
  // A folder's stamp is that of its names: what is in it says so for itself.
  if (known.kind === "folder" && stat.isDirectory()) return [];
  return known.here.seen === seenAs(statOf(stat)) ? [] : ["It changed on this disk since."];
}

function explainRoot(status: FolderStatus): Explanation {
  const inSync = status.state === "in-sync";
  return {
    inSync,
    sentences: inSync ? ["The folder is in sync."] : [...asOf(status), ...nextStep(status)],
  };
}

/** Says of what follows that nobody looks at it now. */
function asOf({ runs, state, reason }: FolderStatus): string[] {
  if (runs) return [];
  return [(state === "offline" ? reason : null) ?? "No engine runs; this is as of its last look."];
}

function problemsAt({ problems }: Status, path: string): string[] {
  return problems
    .filter((each) => each.path === path || path.startsWith(`${each.path}/`))
    .map((each) => {
      const at = each.path === path ? "" : `${shown(each.path)}: `;
      return `Problem (${each.code}): ${at}${each.message}`;
    });
}

function ignoredBy({ link }: LinkedFolder, path: string): string | null {
  const rules = readRulesFor(link.dir, path);
  const { ignored, rule } = rules.decide(path, isFolderAt(link.dir, path));
  if (!ignored || rule === null) return null;
  const { file, line, pattern } = rule;
  const where = file === "" ? "A built-in rule" : `Line ${line} of ${shown(file)}`;
  return `${where} has it ignored (${shown(pattern)}): it is left alone on every device.`;
}

function agreement(report: NodeReport | null): string[] {
  const what = report?.server?.content;
  const size = what?.kind === "file" ? ` (${bytesText(what.sizeBytes)})` : "";
  return [`It is in sync: the same here and at the server${size}.`];
}

const BLIND = {
  absent: "It was on this disk and is not there now; a second look decides whether it is gone.",
  unreadable: "It cannot be read on this disk, so nothing is decided about it.",
  ignored: "An ignore rule covers it on this disk.",
  unsupported: "It is of a kind that does not sync, or lies on another file system.",
} as const;

function difference(
  { here, server }: PathReport,
  stat: BigIntStats | undefined,
  isSyncable: boolean,
): string[] {
  if (here === null && server === null) {
    if (stat !== undefined && !isSyncable) return ["It is on this disk, and cannot be synced."];
    if (stat !== undefined) return ["It is on this disk, and the engine has not looked at it yet."];
    return ["Neither this disk nor the server has anything of that name."];
  }
  if (here !== null && server !== null && here.node !== server.node) {
    return ["This disk and the server each have something of their own under that name."];
  }
  const report = here ?? server;
  return report === null ? [] : differenceOf(report);
}

function differenceOf({ here, server, agreed, hold }: NodeReport): string[] {
  if (hold !== null) {
    const where =
      here === null
        ? "It was deleted on this disk; the server has it still."
        : "It was deleted elsewhere; this disk has it still.";
    return [where, `With many others it waits for your yes or no: hold ${hold}, lockstep holds.`];
  }
  if (here === null) {
    return agreed === null
      ? ["The server has it; it has not been brought to this disk yet."]
      : ["It was deleted on this disk; the server does not know yet."];
  }
  if (here.blind !== null) return [BLIND[here.blind]];
  if (server === null) {
    return agreed === null
      ? ["It is on this disk; the server does not have it yet."]
      : ["It was deleted at the server and is still on this disk."];
  }
  const sentences: string[] = [];
  if (here.path !== server.path && server.path !== null) {
    sentences.push(`At the server it is ${shown(server.path)}, here ${shown(here.path ?? "?")}.`);
  }
  if (here.content === null) sentences.push("It changed on this disk and is being read.");
  else if (!sameContent(here.content, server.content ?? here.content)) {
    sentences.push(changedWhere(here.content, server.content, agreed?.content ?? null));
  }
  return sentences.length > 0 ? sentences : ["It is being brought to agreement."];
}

function changedWhere(here: Content, server: Content | null, agreed: Content | null): string {
  if (agreed === null) return "Its content differs here and at the server.";
  const atServer = server !== null && !sameContent(server, agreed);
  const onDisk = !sameContent(here, agreed);
  if (atServer && onDisk) return "It was changed both here and at the server.";
  if (onDisk) return "It was changed on this disk; the server has an earlier version.";
  return "The server has a newer version; it has not been brought to this disk yet.";
}

function nextStep({ runs, state, reason, pending }: FolderStatus): string[] {
  switch (state) {
    case "halted":
    case "held":
    case "offline":
      // How to start an engine has been said.
      if (!runs && state === "offline") return [];
      return [`Next: ${reason ?? "see lockstep status."}`];
    case "working": {
      const up = counted(pending.up, "change");
      const work = `Next: the engine is at work (${up} to send, ${pending.down} to receive).`;
      return reason === null ? [work] : [reason, work];
    }
    case "in-sync":
      return ["Next: the engine looks again when it changes; lockstep wait has it look at once."];
  }
}
