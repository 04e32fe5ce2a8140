import { mkdirSync } from "node:fs";
import { hostname } from "node:os";
import type { z } from "zod";
import { codeOf, messageOf } from "#core/errors.ts";
import type { Enrolled } from "#protocol/accounts.ts";
import { REST_SPACE, type SpaceRow } from "#protocol/spaces.ts";
import type { HttpAccount } from "#platform/account-http.ts";
import { CommandError } from "./exit.ts";
import type { Home } from "./home.ts";
import { checkLinkable, realPath, storeLink, type LinkedFolder } from "./links.ts";
import { callServer } from "./server-calls.ts";

/** The space that a folder is bound to when nobody names another. */
export const DEFAULT_SPACE = REST_SPACE;

/** What other devices call this machine unless told otherwise. */
export function defaultDeviceName(): string {
  return (hostname().split(".")[0] ?? "").slice(0, 64) || "this machine";
}

/** The folder, made if need be, as links keep it; refused when it cannot be linked. */
export function prepareFolder(home: Home, dir: string): string {
  checkLinkable(home, realPath(dir));
  try {
    mkdirSync(dir, { recursive: true });
  } catch (cause) {
    throw new CommandError(`${dir} cannot be made (${messageOf(cause)}).`, undefined, cause);
  }
  const real = realPath(dir);
  checkLinkable(home, real);
  return real;
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

/**
 * Stores the link of a device that the server has just enrolled; takes the device back if it fails.
 */
export async function bindFolder(
  home: Home,
  dir: string,
  server: string,
  enrolled: z.output<typeof Enrolled>,
  space: { readonly name: string } | { readonly id: string },
): Promise<LinkedFolder> {
  const calls = callServer(server, enrolled.token);
  try {
    const row =
      "name" in space
        ? await openSpace(calls, space.name)
        : (await calls.listSpaces()).find((each) => each.space === space.id);
    if (row === undefined) {
      throw new CommandError("The space of this join code is gone; make a new code.");
    }
    const { account, device, deviceName, token } = enrolled;
    return storeLink(home, {
      dir,
      server,
      account,
      device,
      deviceName,
      token,
      space: row.space,
      spaceName: row.name,
      folding: row.folding,
      cutKey: row.cutKey,
      startCursor: row.start,
    });
  } catch (error) {
    await calls.revokeDevice(enrolled.device).catch(() => undefined);
    throw error;
  }
}
