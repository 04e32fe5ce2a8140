import type { Command } from "commander";
import { unreachable } from "#core/assert.ts";
import { askPassword } from "../ask-person.ts";
import { DeviceKeys, keysFile } from "../device-keys.ts";
import { CommandError, EXIT, wrongUsage } from "../exit.ts";
import { Invitation } from "../inviting.ts";
import { askAt, withoutAsking } from "../letting-in.ts";
import { impliedLink } from "../links.ts";
import { note, print, printJson, shown, table, timeText } from "../output.ts";
import { signIn } from "../owner.ts";
import { reachableServer } from "../own-server.ts";
import { printWords } from "../recovery-words.ts";
import { shutOut } from "../renewing.ts";
import { callAs, callServer } from "../server-calls.ts";
import { noKeys } from "../space-door.ts";
import { stopSignal } from "../stopping.ts";
import { TypedLines } from "../typed-lines.ts";
import { explain, jsonOption, thisHome } from "../usage.ts";

type Options = { readonly folder?: string; readonly json?: true };

async function list({ folder: path, json }: Options, { args }: Command): Promise<void> {
  // It is the default: a word that is no subcommand comes here.
  const [unknown] = args;
  if (unknown !== undefined) {
    throw wrongUsage(`There is no lockstep devices ${unknown}: there are list, add and revoke.`);
  }
  const { link } = impliedLink(thisHome(), path);
  const devices = await callAs(link).devices();
  if (json) {
    const iso = (ms: number | null): string | null =>
      ms === null ? null : new Date(ms).toISOString();
    return printJson(
      devices.map(({ device, name, createdMs, lastSeenMs, revoked }) => ({
        device,
        name,
        created: iso(createdMs),
        seen: iso(lastSeenMs),
        revoked,
        this: device === link.device,
      })),
    );
  }
  const header = [
    { title: "Device", flexible: true },
    { title: "Id" },
    { title: "Since" },
    { title: "Last seen" },
    { title: "" },
  ];
  const rows = devices.map(({ device, name, createdMs, lastSeenMs, revoked }) => [
    shown(name),
    device.slice(0, 8),
    timeText(createdMs),
    lastSeenMs === null ? "never" : timeText(lastSeenMs),
    revoked ? "revoked" : device === link.device ? "this one" : "",
  ]);
  print(table(header, rows));
}

async function revoke(wanted: string, { folder: path, json }: Options): Promise<void> {
  const { link, state } = impliedLink(thisHome(), path);
  const calls = callAs(link);
  const living = (await calls.devices()).filter((row) => !row.revoked);
  const isWanted = (row: { device: string; name: string }): boolean =>
    row.name === wanted || (/^[0-9a-f]{6,32}$/.test(wanted) && row.device.startsWith(wanted));
  const [found, another] = living.filter(isWanted);
  if (found === undefined) {
    throw wrongUsage(`There is no device ${wanted}: lockstep devices shows those there are.`);
  }
  if (another !== undefined) {
    throw wrongUsage(`More than one device is called ${wanted}: name one by its id.`);
  }
  const keys = DeviceKeys.read(keysFile(state));
  if (keys === null) throw noKeys(link);
  const { account, server } = link;
  const credentials = { account, password: await askPassword(account) };
  const signedIn = await signIn(callServer(server), credentials);
  const words = await shutOut(calls, keys, found.device, signedIn);
  if (json) return printJson({ device: found.device, name: found.name, revoked: true, words });
  print(`${shown(found.name)} is revoked: it gets and sends nothing any more, and can read`);
  print("nothing that is written from now on. All keys are new, and so are the words.\n");
  printWords(words);
}

async function add({ folder: path, json, yes }: Options & { readonly yes?: true }): Promise<void> {
  const { stdin } = process;
  if (!yes && !stdin.isTTY) {
    const next = "run this in a terminal, or with --yes, which lets in whoever has the code";
    throw wrongUsage(`There is nobody here to ask about the other machine: ${next}.`);
  }
  const home = thisHome();
  const folder = impliedLink(home, path);
  const stop = stopSignal();
  using lines = yes ? null : new TypedLines(stdin);
  await using invitation = await Invitation.make(folder, reachableServer(home, folder.link.server));
  const { code } = invitation;
  if (json) printJson({ code });
  else print(`./lockstep join ${code}`);
  note("Waiting for the other machine, for 10 minutes. Ctrl-C takes the code back.");
  const outcome = await invitation
    .wait(lines === null ? withoutAsking : askAt(lines), stop)
    .catch((error: unknown) => {
      throw stop.aborted ? new CommandError("Stopped: the code is taken back.") : error;
    });
  switch (outcome.kind) {
    case "joined":
      if (json) return printJson({ joined: outcome.name });
      return print(`${shown(outcome.name)} is a device of ${folder.link.account} now.`);
    case "refused":
      throw new CommandError("It was not let in; its code is used up.");
    case "expired":
      throw new CommandError("Nobody came with the code; it is worth nothing now.", EXIT.timedOut);
    default:
      unreachable(outcome);
  }
}

export function register(command: Command): void {
  explain(command, { examples: ["lockstep devices", "lockstep devices add"] });
  const folder = ["--folder <path>", "a linked folder (default: the one around here)"] as const;
  const shared = (made: Command): Command => made.option(...folder).addOption(jsonOption());
  explain(
    shared(command.command("list", { isDefault: true }).description("all devices of the account")),
    { examples: ["lockstep devices"] },
  )
    .allowExcessArguments()
    .action(list);
  explain(
    shared(command.command("revoke").description("shut a device out for good")).argument(
      "<device>",
      "its name, or the beginning of its id",
    ),
    {
      examples: ["lockstep devices revoke lost-laptop"],
      about:
        "What the device holds stays on it; it gets and sends nothing from then on, and every " +
        "key that it knew is renewed. That takes the account's password (asked for, or from " +
        "LOCKSTEP_PASSWORD) and gives new recovery words: the old ones open nothing any more.",
    },
  ).action(revoke);
  explain(
    shared(command.command("add").description("print the line that joins one more machine")).option(
      "--yes",
      "let in whoever comes with the code, without asking",
    ),
    {
      examples: ["lockstep devices add"],
      exits: [1, 4],
      about:
        "Run the printed line on the other machine, within 10 minutes; this one waits for it. " +
        "Both then show four words, and this one asks whether they are the same: if they are, " +
        "nobody stands between the two. With --yes nobody looks: somebody who got hold of the " +
        "code, and came first, is let in too.",
    },
  ).action(add);
}
