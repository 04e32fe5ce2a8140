import { userInfo } from "node:os";
import type { Command } from "commander";
import { codeOf } from "#core/errors.ts";
import { systemChance } from "#platform/chance.ts";
import { wrongUsage } from "../exit.ts";
import { syncInForeground } from "../foreground.ts";
import type { Home } from "../home.ts";
import { askAt, JoinCodes, withoutAsking } from "../letting-in.ts";
import { checkBeforeLinking, enrolBy, linkFolder } from "../linking.ts";
import { linkAt, listLinks, realPath, replaceLink, type LinkedFolder } from "../links.ts";
import { withNextStep } from "../next-step.ts";
import { note, paint, print, printJson } from "../output.ts";
import * as own from "../own-server.ts";
import { signUp } from "../owner.ts";
import { callServer } from "../server-calls.ts";
import { stopSignal } from "../stopping.ts";
import { TypedLines } from "../typed-lines.ts";
import { explain, folderArgument, jsonOption, thisHome } from "../usage.ts";

const STANDARD_FOLDER = "Lockstep";
const STANDARD_HOST = "127.0.0.1";

type Options = {
  readonly host?: string;
  readonly port?: string;
  readonly account?: string;
  readonly device?: string;
  readonly json?: true;
};

/** 100 random bits, readable: a person may have to type it once. */
function drawPassword(): string {
  const letters = "23456789abcdefghjkmnpqrstuvwxyz-";
  const drawn = Array.from(systemChance.bytes(20), (byte) => letters[byte & 31] ?? "");
  return drawn.join("").replaceAll("-", "0");
}

function standardAccount(): string {
  const name = userInfo().username.replaceAll(/[^\p{L}\p{N}._@-]/gu, "");
  return /^[\p{L}\p{N}]/u.test(name) ? name.slice(0, 64) : "me";
}

function portOf(text: string | undefined): number | null {
  if (text === undefined) return null;
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text);
  throw wrongUsage(`--port is ${text}, it must be a number from 0 (any free one) to 65535.`);
}

/** The words that were drawn; null when the account was there already. */
async function makeAccount(
  url: string,
  { account, password }: own.OwnServer,
): Promise<string | null> {
  try {
    return (await signUp(callServer(url), { account, password })).words;
  } catch (error) {
    // Made by an earlier run that did not come further.
    if (codeOf(error) !== "account-taken") throw error;
    return null;
  }
}

async function bind(
  home: Home,
  dir: string,
  known: own.OwnServer,
  device: string | undefined,
): Promise<LinkedFolder> {
  const server = own.localUrl(known);
  const { account, password } = known;
  return linkFolder(home, dir, {
    server,
    account,
    device,
    enrol: (name) => enrolBy(server, { account, password }, name),
  });
}

/** The folders that are linked to our own server follow it to another port. */
function moveLinks(home: Home, before: own.OwnServer | null, url: string): void {
  if (before === null || own.localUrl(before) === url) return;
  for (const folder of listLinks(home)) {
    if (folder.link.server === own.localUrl(before)) {
      replaceLink(folder, { ...folder.link, server: url });
    }
  }
}

/**
 * The server of this home, its account and a link of the folder, made as far as they are missing.
 */
async function prepare(
  home: Home,
  dir: string,
  options: Options,
  running: AsyncDisposableStack,
): Promise<LinkedFolder> {
  const before = own.readOwnServer(home);
  const host = options.host ?? before?.host ?? STANDARD_HOST;
  const server = await own.startOwnServer(home, { host, port: portOf(options.port) }, before);
  running.defer(() => server.close());
  const known: own.OwnServer = {
    host,
    port: server.address.port,
    account: before?.account ?? options.account ?? standardAccount(),
    password: before?.password ?? (process.env["LOCKSTEP_PASSWORD"] || drawPassword()),
    dir: before?.dir ?? realPath(dir),
  };
  own.storeOwnServer(home, known);
  moveLinks(home, before, own.localUrl(known));
  const linked = linkAt(home, dir);
  if (linked !== null) return linked;
  const words = await makeAccount(own.localUrl(known), known);
  if (words !== null) own.storeOwnServer(home, { ...known, words });
  return bind(home, dir, known, options.device);
}

/** Whether somebody is there to be asked whom to let in. */
const isAttended = (): boolean => process.stdin.isTTY;

function tell(home: Home, { link }: LinkedFolder, code: string, json: boolean): void {
  const server = own.reachableServer(home, link.server);
  if (json) {
    const { account, dir } = link;
    return printJson({ server, folder: dir, account, join: `./lockstep join ${code}` });
  }
  const known = own.readOwnServer(home);
  const isOurs = known !== null && own.localUrl(known) === link.server;
  print(`${paint("bold", "Lockstep is up.")}\n`);
  print(`  Server   ${server}`);
  print(`  Folder   ${link.dir}`);
  const where = isOurs ? ` (password and recovery words in ${own.ownServerFile(home)})` : "";
  print(`  Account  ${link.account}${where}`);
  print("\nOn another machine, run:\n");
  print(`  ${paint("bold", `./lockstep join ${code}`)}\n`);
  if (own.isLoopback(server)) {
    print("Only this machine can reach the server so far; with --host 0.0.0.0 others can.");
  }
  print("The code works once, within 10 minutes.");
  print(
    isAttended()
      ? "You are asked here before it lets a machine in. Enter makes another. Ctrl-C stops."
      : "Nobody is asked, as this is no terminal: whoever has it is let in. Ctrl-C stops.",
  );
}

/** Join codes for as long as this runs; on a terminal Enter makes another one. */
function openJoinCodes(
  home: Home,
  folder: LinkedFolder,
  until: AsyncDisposableStack,
): () => Promise<string> {
  const make = async (): Promise<string> =>
    codes.make(own.reachableServer(home, folder.link.server));
  const another = (): void => {
    make().then(
      (code) => print(`  ./lockstep join ${code}\n`),
      (error: unknown) => note(error instanceof Error ? error.message : String(error)),
    );
  };
  const lines = isAttended() ? until.use(new TypedLines(process.stdin, another)) : null;
  const codes = until.use(new JoinCodes(folder, lines === null ? withoutAsking : askAt(lines)));
  return make;
}

async function up(path: string | undefined, options: Options): Promise<void> {
  const stop = stopSignal();
  const home = thisHome();
  await using running = new AsyncDisposableStack();
  const remembered = own.readOwnServer(home);
  const dir = folderArgument(path ?? remembered?.dir ?? STANDARD_FOLDER);
  checkBeforeLinking(home, dir, remembered === null);
  const linked = linkAt(home, dir);
  const isOurs = linked === null || (remembered && own.localUrl(remembered) === linked.link.server);
  const folder = isOurs || linked === null ? await prepare(home, dir, options, running) : linked;
  if (stop.aborted) return;
  const makeCode = openJoinCodes(home, folder, running);
  try {
    tell(home, folder, await makeCode(), options.json === true);
  } catch (error) {
    throw withNextStep(error, home, folder);
  }
  await syncInForeground(home, folder, stop, () => undefined);
}

export function register(command: Command): void {
  command
    .argument("[dir]", `the folder to keep in sync (default: ./${STANDARD_FOLDER})`)
    .option("--host <host>", "where the server listens (default: 127.0.0.1, or as the last time)")
    .option("--port <port>", "its port (default: 7420 or a free one, then always the same)")
    .option("--account <name>", "what to call the account (default: your user name)")
    .option("--device <name>", "what to call this machine (default: its host name)")
    .addOption(jsonOption())
    .action(up);
  explain(command, {
    examples: ["lockstep up", "lockstep up ~/Shared --host 0.0.0.0"],
    exits: [1, 3],
    about:
      "Starts a server in LOCKSTEP_HOME, makes an account and a device, and keeps the folder " +
      "in sync until Ctrl-C. Run it again at any time: what is there already is used. The " +
      "account's password is drawn at random (or taken from LOCKSTEP_PASSWORD) and kept in " +
      "LOCKSTEP_HOME/up.json, with the recovery words: copy them to where you keep such things.",
  });
}
