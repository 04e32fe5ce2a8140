import { Option, type Command } from "commander";
import { CommandError, wrongUsage } from "../exit.ts";
import { findNode, listVersions, type Found, type Version } from "../history.ts";
import { requirePath } from "../links.ts";
import { parseMoment } from "../moment.ts";
import { print, printJson, shown, timeText } from "../output.ts";
import { restore } from "../restoring.ts";
import { explain, jsonOption, thisHome } from "../usage.ts";

type Options = { readonly version?: string; readonly at?: number; readonly json?: true };

/** The version that is meant: as named, as of a time, or the one before the present one. */
function choose(
  versions: readonly Version[],
  found: Found,
  path: string,
  options: Options,
): Version {
  const all = versions.filter(({ deleted }) => !deleted);
  const kept = all.filter((each) => each.kept);
  const { version, at } = options;
  if (version !== undefined) {
    const chosen = all.find((each) => String(each.version) === version);
    if (chosen !== undefined) return expectKept(chosen, path);
    throw wrongUsage(`${path} has no version ${version}: lockstep history shows those it has.`);
  }
  if (at !== undefined) {
    const chosen = all.find(({ time }) => Date.parse(time) <= at);
    if (chosen !== undefined) return expectKept(chosen, path);
    throw wrongUsage(`${path} was not there at ${timeText(at)}: see lockstep history.`);
  }
  const [latest] = all;
  const before = kept.find(({ sha256 }) => sha256 !== latest?.sha256);
  const chosen = found.deleted ? latest : before;
  if (chosen !== undefined) return expectKept(chosen, path);
  throw new CommandError(`${path} has no earlier version to bring back.`);
}

function expectKept(version: Version, path: string): Version {
  if (version.kept) return version;
  const when = timeText(Date.parse(version.time));
  throw new CommandError(
    `The server no longer keeps version ${version.version} of ${path}, of ${when}: ` +
      "lockstep history shows those it does.",
  );
}

async function run(path: string, options: Options): Promise<void> {
  const { folder, inside } = requirePath(thisHome(), path);
  const found = await findNode(folder, inside);
  if (found.kind !== "file") {
    throw wrongUsage(`${inside} is a ${found.kind}: restore brings back files, one at a time.`);
  }
  const version = choose(await listVersions(folder, found), found, inside, options);
  const restored = await restore(folder, found, version);
  if (options.json) return printJson({ ...restored, from: version.version });
  const when = timeText(Date.parse(version.time));
  const what = `version ${version.version} of ${when}`;
  print(`${shown(restored.path)} is ${what} again, as version ${restored.version}.`);
}

export function register(command: Command): void {
  command
    .argument("<path>", "a file in a linked folder, also one that was deleted")
    .addOption(new Option("--version <n>", "a version that lockstep history shows").conflicts("at"))
    .option("--at <time>", "as it was then: 2026-03-01, '2026-03-01 14:05', 2h, 3d", (text) =>
      parseMoment(text, Date.now()),
    )
    .addOption(jsonOption())
    .action(run);
  explain(command, {
    examples: [
      "lockstep restore ~/Work/report.odt",
      "lockstep restore ~/Work/report.odt --at '2026-03-01 14:05'",
    ],
    about:
      "Without --version or --at: the version before the present one, or the last one of a " +
      "deleted file. What is there now stays in the history, so a restore can itself be " +
      "undone.",
  });
}
