import type { Command } from "commander";
import type { Decision, HoldReport } from "#sync/holds.ts";
import { askDecide, askHolds } from "../ask-device.ts";
import { wrongUsage } from "../exit.ts";
import { impliedLink, linkHolding, listLinks, type LinkedFolder } from "../links.ts";
import { counted, paint, print, printJson, shown } from "../output.ts";
import { explain, jsonOption, thisHome } from "../usage.ts";

type Options = { readonly json?: true };

type Found = { readonly folder: LinkedFolder; readonly hold: HoldReport };

/** The holds of one folder; of all, when none is named and this is in none. */
async function findHolds(path: string | undefined): Promise<Found[]> {
  const home = thisHome();
  const isAnywhere = path === undefined && linkHolding(home, ".") === null;
  const linked = isAnywhere ? listLinks(home) : [];
  const folders = linked.length > 0 ? linked : [impliedLink(home, path)];
  const found: Found[] = [];
  for (const folder of folders) {
    for (const hold of await askHolds(folder)) found.push({ folder, hold });
  }
  return found;
}

function show({ folder, hold }: Found): void {
  const { id, direction, deletes, of, sample } = hold;
  const what = direction === "up" ? "deleted on this disk" : "deleted elsewhere";
  print(`${paint("bold", id)}  ${deletes} of ${of} ${what}, in ${folder.link.dir}`);
  for (const path of sample) print(`  ${shown(path)}`);
  if (deletes > sample.length) print(`  and ${deletes - sample.length} more`);
  const back =
    direction === "up" ? "they come back to this disk" : "they stay, and come back elsewhere";
  const gone = direction === "up" ? "they are deleted everywhere" : "they are deleted here, too";
  print(`  lockstep holds approve ${id}   ${gone}`);
  print(`  lockstep holds reject ${id}    ${back}`);
}

async function list(path: string | undefined, { json }: Options): Promise<void> {
  const found = await findHolds(path);
  if (json) return printJson(found.map(({ hold }) => hold));
  if (found.length === 0) return print("No deletions are held.");
  for (const each of found) show(each);
}

async function decide(
  decision: Decision,
  id: string,
  path: string | undefined,
  { json }: Options,
): Promise<void> {
  const found = (await findHolds(path)).find(({ hold }) => hold.id === id);
  if (found === undefined) {
    throw wrongUsage(`There is no hold ${id}: lockstep holds shows those there are.`);
  }
  const { folder, hold } = found;
  const deletes = await askDecide(folder, id, decision);
  if (json) return printJson({ id, decision, deletes });
  const many = counted(deletes, "deletion");
  const isUp = hold.direction === "up";
  const done = isUp ? "sent" : "done here";
  const undone = isUp ? "undone on this disk" : "undone elsewhere";
  print(`${many} in ${folder.link.dir} will be ${decision === "approve" ? done : undone}.`);
}

const PATH = "a linked folder, or anything in it (default: the one around here, or all)";

export function register(command: Command): void {
  explain(command, { examples: ["lockstep holds", "lockstep holds reject 3f2a9c1d"] });
  explain(
    command
      .command("list", { isDefault: true })
      .description("mass deletions that wait for your yes or no")
      .argument("[path]", PATH)
      .addOption(jsonOption()),
    {
      examples: ["lockstep holds", "lockstep holds ~/Work --json"],
      about:
        "200 deletions or more within ten minutes that are at least 35 % of a folder's tree, or " +
        "20 or more that leave nothing of it, are not sent to the other machines, and not done " +
        "on this one when they come from another, before you say so. Everything else goes on. " +
        "LOCKSTEP_HOLD=off in the environment of lockstep sync switches this off on one machine.",
    },
  ).action(list);
  const answer = (decision: Decision, description: string, about: string): void => {
    explain(
      command
        .command(decision)
        .description(description)
        .argument("<id>", "as lockstep holds shows it")
        .argument("[path]", PATH)
        .addOption(jsonOption()),
      { examples: [`lockstep holds ${decision} 3f2a9c1d`], about },
    ).action((id: string, path: string | undefined, options: Options) =>
      decide(decision, id, path, options),
    );
  };
  const noEngine = "While no engine runs, that happens when the next one starts.";
  answer(
    "approve",
    "let it be deleted",
    "Exactly what is held at this moment is deleted: everywhere, and no other machine asks about " +
      `it, when it was deleted on this disk; here, when it was deleted elsewhere. ${noEngine}`,
  );
  answer(
    "reject",
    "have it back",
    "What was deleted on this disk comes back from the server; what was deleted elsewhere stays " +
      `on this disk, and comes back on all others. ${noEngine}`,
  );
}
