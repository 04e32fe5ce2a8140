import { mkdirSync, rmdirSync } from "node:fs";
import { hostname } from "node:os";
import { dirname } from "node:path";
import type { z } from "zod";
import { codeOf, messageOf } from "#core/errors.ts";
import type { SpaceId } from "#core/ids.ts";
import type { Enrolled } from "#protocol/accounts.ts";
import { REST_SPACE, type SpaceKind, type SpaceRow } from "#protocol/spaces.ts";
import type { Domain } from "#crypto/chunk.ts";
import type { HttpAccount } from "#platform/account-http.ts";
import { systemClock } from "#platform/clock.ts";
import { lockFolder } from "#platform/folder-lock.ts";
import type { Link } from "./daemon.ts";
import { DeviceKeys, keysFile } from "./device-keys.ts";
import { CommandError, wrongUsage } from "./exit.ts";
import { clearHalt } from "./halt.ts";
import type { Home } from "./home.ts";
import { checkLinkable, linkAt, linkedAlready, quoted, realPath } from "./links.ts";
import { replaceLink, storeLink, type LinkedFolder } from "./links.ts";
import { checkMarkers, mark, markedSpaces, markerOf } from "./markers.ts";
import { openAccount, signIn, vouchFor, type Credentials } from "./owner.ts";
import { openSealedSpace, pinKeyService } from "./sealed-spaces.ts";
import { callServer } from "./server-calls.ts";

/** The space that a folder is bound to when nobody names another. */
export const DEFAULT_SPACES: Readonly<Record<SpaceKind, string>> = {
  sealed: "home",
  plain: REST_SPACE,
};

/** A space of an account, as people name it. */
export type SpaceWish = {
  readonly kind: SpaceKind;
  /** Undefined: the standard one of its kind. */
  readonly name?: string | undefined;
  /** Whom the chunks of a sealed space are stored once for, when it is made. */
  readonly domain?: Domain | undefined;
};

/** What other devices call this machine unless told otherwise. */
function defaultDeviceName(): string {
  return (hostname().split(".")[0] ?? "").slice(0, 64) || "this machine";
}

/**
 * Throws CommandError when `linkFolder` would refuse this folder, before anything is made. Whoever
 * is about to make the space too gives `isNewSpace`: no marker can be of that one.
 */
export function checkBeforeLinking(home: Home, path: string, isNewSpace: boolean): void {
  const linked = linkAt(home, path);
  if (linked !== null) return checkMarkers(linked.link.dir, linked.link.space);
  const dir = realPath(path);
  checkLinkable(home, dir);
  if (isNewSpace) checkMarkers(dir, null);
}

/** Removes a folder and those above it up to `first`, as far as they are empty. */
function removeEmpty(path: string, first: string): void {
  try {
    for (let at = path; at.length >= first.length; at = dirname(at)) rmdirSync(at);
  } catch {
    // Somebody has put something there meanwhile: it stays.
  }
}

/** Does something in a folder, made if need be; what was made goes again when that fails. */
async function inFolder<Result>(
  home: Home,
  path: string,
  work: (dir: string) => Promise<Result>,
): Promise<Result> {
  checkLinkable(home, realPath(path));
  let made: string | undefined;
  try {
    made = mkdirSync(path, { recursive: true });
  } catch (cause) {
    throw new CommandError(`${path} cannot be made (${messageOf(cause)}).`, undefined, cause);
  }
  try {
    const dir = realPath(path);
    checkLinkable(home, dir);
    // A root of somebody's, whose engine may be at work: it stays where it is, or is united.
    using _ = markedSpaces(dir).length > 0 ? lockFolder(dir, systemClock) : null;
    return await work(dir);
  } catch (error) {
    if (made !== undefined) removeEmpty(path, made);
    throw error;
  }
}

async function findSpace(calls: HttpAccount, name: string): Promise<SpaceRow | undefined> {
  return (await calls.listSpaces()).find((row) => row.name === name && row.kind === "plain");
}

/** The account's plain space of that name, made if there is none. */
async function openSpace(calls: HttpAccount, name: string): Promise<SpaceRow> {
  const found = await findSpace(calls, name);
  if (found !== undefined) return found;
  try {
    return await calls.createSpace({ name, kind: "plain" });
  } catch (error) {
    // Another device was quicker.
    const made = codeOf(error) === "conflict" ? await findSpace(calls, name) : undefined;
    if (made === undefined) throw error;
    return made;
  }
}

export type LinkWish = {
  readonly server: string;
  /** Undefined when only the server knows it. */
  readonly account?: string | undefined;
  /** What to call this machine; undefined: as before, or by its host name. */
  readonly device: string | undefined;
  /** Undefined: as before, or a sealed one. */
  readonly space?: SpaceWish | undefined;
  /** Makes this machine a device; `space` is there when the server names the one to sync. */
  readonly enrol: (device: string) => Promise<Enrolment>;
};

export type Enrolment = z.output<typeof Enrolled> & {
  /** The space that the server names, by a join code. */
  readonly space?: string;
  /** What makes the new device one that the account's others believe. */
  readonly keys: (calls: HttpAccount) => Promise<DeviceKeys>;
};

/** A new device of the account that these credentials open. */
export async function enrolBy(
  server: string,
  credentials: Credentials,
  device: string,
): Promise<Enrolment> {
  const calls = callServer(server);
  const signedIn = await signIn(calls, credentials);
  const enrolled = await calls.enrol({ proof: signedIn.proof, device });
  const keys = async (own: HttpAccount): Promise<DeviceKeys> => {
    const { accountId, bundle, keyring } = await own.vault();
    const who = { account: accountId, device: enrolled.device };
    return DeviceKeys.begin(openAccount(signedIn, who, bundle), null, keyring);
  };
  return { ...enrolled, keys };
}

/**
 * Binds a folder to a space as a new device of its account. One that is bound to that space already
 * goes on as the new device, with all that its database knows; one that was bound to it by a
 * database that is not there any more is united with it; one of another space is refused.
 */
export async function linkFolder(
  home: Home,
  path: string,
  invitation: LinkWish,
): Promise<LinkedFolder> {
  const linked = linkAt(home, path);
  if (linked !== null) return signInAgain(home, linked, invitation);
  return inFolder(home, path, async (dir) => {
    const enrolled = await invitation.enrol(invitation.device ?? defaultDeviceName());
    return bindFolder(home, { dir, linked: null }, invitation, enrolled);
  });
}

async function signInAgain(
  home: Home,
  linked: LinkedFolder,
  invitation: LinkWish,
): Promise<LinkedFolder> {
  const { link } = linked;
  const { account = link.account, device } = invitation;
  const { kind, spaceName } = link;
  const space = { kind, name: spaceName, ...invitation.space };
  const isSame = space.kind === kind && (space.name ?? DEFAULT_SPACES[kind]) === spaceName;
  if (!isSameAccount(account, link) || !isSame) throw linkedAlready(link);
  checkMarkers(link.dir, link.space);
  using _ = lockFolder(link.dir, systemClock);
  const enrolled = await invitation.enrol(device ?? link.deviceName);
  const bound = { dir: link.dir, linked };
  const again = await bindFolder(home, bound, { ...invitation, space }, enrolled);
  clearHalt(again);
  // Nobody has its token any more; that it may be unknown by now is as good.
  const calls = callServer(again.link.server, again.link.token);
  await calls.revokeDevice(link.device).catch(() => undefined);
  return again;
}

function isSameAccount(account: string, link: Link): boolean {
  return account.toLowerCase() === link.account.toLowerCase();
}

/**
 * Stores the link of a device that the server has just enrolled; takes the device back if it fails.
 */
async function bindFolder(
  home: Home,
  { dir, linked }: { readonly dir: string; readonly linked: LinkedFolder | null },
  { server, space: wish = { kind: "sealed" } }: LinkWish,
  enrolled: Enrolment,
): Promise<LinkedFolder> {
  const calls = callServer(server, enrolled.token);
  try {
    const mayMake = linked === null && markedSpaces(dir).length === 0;
    const keys = await enrolled.keys(calls);
    await vouchFor(calls, keys);
    await pinKeyService(calls, keys);
    const row = await spaceOf(calls, keys, { named: enrolled.space, wish, mayMake });
    if (linked === null) await checkMarked(calls, keys, { dir, own: row?.space ?? null });
    const { account, device, deviceName, token } = enrolled;
    if (
      linked !== null &&
      (row?.space !== linked.link.space || !isSameAccount(account, linked.link))
    )
      throw linkedAlready(linked.link);
    if (row === undefined) {
      throw new CommandError("The space of this join code is gone; make a new code.");
    }
    checkKind(keys, row);
    const link: Link = {
      dir,
      server,
      account,
      device,
      deviceName,
      token,
      space: row.space,
      spaceName: nameOf(keys, row),
      kind: row.kind,
      folding: row.folding,
      cutKey: row.cutKey,
      startCursor: row.start,
    };
    const bound = linked === null ? storeLink(home, link) : replaceLink(linked, link);
    keys.keepAt(keysFile(bound.state));
    if (linked === null) mark(dir, link.space);
    return bound;
  } catch (error) {
    await calls.revokeDevice(enrolled.device).catch(() => undefined);
    throw error;
  }
}

/** As `checkMarkers`; names the way back to a space that the account still has. */
async function checkMarked(
  calls: HttpAccount,
  keys: DeviceKeys,
  { dir, own }: { readonly dir: string; readonly own: SpaceId | null },
): Promise<void> {
  const foreign = markedSpaces(dir).find((space) => space !== own);
  if (foreign === undefined) return;
  const known = (await calls.listSpaces()).find(({ space }) => space === foreign);
  if (known === undefined) return checkMarkers(dir, own);
  const name = quoted(nameOf(keys, known));
  const options = `--space ${known.kind} --space-name ${name}`;
  throw wrongUsage(
    `${dir} was linked to the space ${name}: link it to that one again (${options}), ` +
      `or remove ${markerOf(dir, foreign)} first.`,
  );
}

/** The space to bind to; undefined when it is not there and is not to be made. */
async function spaceOf(
  calls: HttpAccount,
  keys: DeviceKeys,
  asked: {
    /** By its id. */
    readonly named: string | undefined;
    readonly wish: SpaceWish;
    readonly mayMake: boolean;
  },
): Promise<SpaceRow | undefined> {
  const { named, wish, mayMake } = asked;
  const { kind, name = DEFAULT_SPACES[kind], domain = "shared" } = wish;
  const known = keys.keyring.spaces.find((space) => space.name === name)?.space;
  const id = named ?? (kind === "sealed" ? known : undefined);
  if (id !== undefined) return (await calls.listSpaces()).find((row) => row.space === id);
  if (kind === "plain") return mayMake ? openSpace(calls, name) : findSpace(calls, name);
  return mayMake ? openSealedSpace(calls, keys, { name, domain }) : undefined;
}

/** The keyring says what is sealed: who believed the server would send it names and contents. */
function checkKind(keys: DeviceKeys, row: SpaceRow): void {
  const isSealed = keys.keyring.spaces.some(({ space }) => space === row.space);
  if (row.kind === (isSealed ? "sealed" : "plain")) return;
  throw new CommandError(
    `The server calls the space ${quoted(nameOf(keys, row))} ${row.kind}, which it is not: ` +
      `nothing was sent to it. Ask whoever runs the server.`,
  );
}

/** What people call a space: of a sealed one the server knows the id alone. */
function nameOf(keys: DeviceKeys, { space, name }: SpaceRow): string {
  return keys.keyring.spaces.find((one) => one.space === space)?.name ?? name;
}
