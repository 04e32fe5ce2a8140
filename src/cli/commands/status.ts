import type { Command } from "commander";
import { currentStatus } from "../current-status.ts";
import { impliedLink, linkHolding, listLinks } from "../links.ts";
import { counted, paint, print, printJson, shown } from "../output.ts";
import { explain, jsonOption, thisHome } from "../usage.ts";
import type { Status } from "#sync/status.ts";
import type { Link } from "../daemon.ts";

type Options = { readonly json?: true };

const MAX_PROBLEMS_SHOWN = 10;

function headline({ state, pending }: Status): string {
  switch (state) {
    case "in-sync":
      return paint("green", "in sync");
    case "working":
      if (pending.up + pending.down === 0) return paint("cyan", "working: looking at files");
      return paint("cyan", `working: ${pending.up} to send, ${pending.down} to receive`);
    case "offline":
      return paint("yellow", "offline");
    case "held":
      return paint("red", "held: deletions wait for you");
    case "halted":
      return paint("red", "halted: waits for you");
  }
}

function show(link: Link, status: Status): void {
  print(`${paint("bold", link.dir)}  ${headline(status)}`);
  if (status.reason !== null) print(`  ${status.reason}`);
  const { problems, conflicts } = status;
  if (status.state !== "working" && status.pending.up + status.pending.down > 0) {
    print(`  ${status.pending.up} to send, ${status.pending.down} to receive`);
  }
  if (conflicts > 0) {
    const copies = counted(conflicts, "conflict copy", "conflict copies");
    print(`  ${copies}: see lockstep conflicts`);
  }
  if (problems.length > 0) print(`  ${counted(problems.length, "path")} with problems:`);
  for (const { path, message } of problems.slice(0, MAX_PROBLEMS_SHOWN)) {
    print(`    ${shown(path)}: ${message}`);
  }
  const more = problems.length - MAX_PROBLEMS_SHOWN;
  if (more > 0) print(`    and ${more} more: see --json`);
  print(`  ${link.account} at ${link.server}, space ${link.spaceName}, device ${link.deviceName}`);
}

async function status(path: string | undefined, { json }: Options): Promise<void> {
  const home = thisHome();
  if (path === undefined && !json && linkHolding(home, ".") === null) {
    const all = listLinks(home);
    for (const folder of all) show(folder.link, await currentStatus(home, folder));
    if (all.length > 0) return;
  }
  const folder = impliedLink(home, path);
  const now = await currentStatus(home, folder);
  if (!json) return show(folder.link, now);
  const { state, reason, pending, problems, holds, conflicts } = now;
  printJson({
    state,
    reason,
    pending,
    problems: problems.map(({ path: at, code, message }) => ({ path: at, code, message })),
    holds,
    conflicts,
  });
}

export function register(command: Command): void {
  command
    .argument("[path]", "a linked folder, or anything in it (default: the one around here, or all)")
    .addOption(jsonOption())
    .action(status);
  explain(command, { examples: ["lockstep status", "lockstep status ~/Work --json"] });
}
