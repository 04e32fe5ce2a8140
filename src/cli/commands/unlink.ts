import type { Command } from "commander";
import { wrongUsage } from "../exit.ts";
import { linkAt, quoted, requireLink } from "../links.ts";
import { print, printJson } from "../output.ts";
import { unlinkFolder } from "../unlinking.ts";
import { explain, folderArgument, jsonOption, thisHome } from "../usage.ts";

type Options = { readonly json?: true };

function unlink(path: string, { json }: Options): void {
  const home = thisHome();
  const folder = linkAt(home, folderArgument(path));
  if (folder === null) {
    const { dir } = requireLink(home, path).link;
    throw wrongUsage(`${path} lies inside the linked folder ${dir}: name that one.`);
  }
  const { dir, account, spaceName, device, deviceName } = folder.link;
  const { left } = unlinkFolder(folder);
  if (json) return printJson({ dir, account, spaceName, device, left });
  print(`${dir} is linked no more; its files are as they were.`);
  if (left !== null) print(`${left} stays: it keeps files that were replaced or deleted here.`);
  const revoke = `lockstep devices revoke ${quoted(deviceName)}`;
  print(`${account} still lists the device ${deviceName}; ${revoke}`);
  print("from another device shuts it out.");
}

export function register(command: Command): void {
  command.argument("<dir>", "a linked folder").addOption(jsonOption()).action(unlink);
  explain(command, {
    examples: ["lockstep unlink ~/Work"],
    about:
      "Forgets the folder's link and all that this machine knows of it, and leaves every file " +
      "of it. Link or join it again at any time: it is compared with the server then, and no " +
      "file is lost.",
  });
}
