import { z } from "@hono/zod-openapi";
import type { Digest } from "#core/world.ts";
import { REST_SPACE, SpaceName } from "#protocol/spaces.ts";
import { accountKey } from "../accounts.ts";
import type { FileParts } from "../files.ts";
import type { SpaceRow } from "../metadata/port.ts";
import { ProblemError } from "../problem-error.ts";
import type { Quotas } from "../quotas.ts";
import { findPlainSpace } from "../spaces.ts";
import type { Session } from "../tokens.ts";

export type RestParts = FileParts & { readonly digest: Digest; readonly quotas: Quotas };

/** The `user_id` of the REST calls: an account's name. */
export const UserId = z.string().min(1).max(256);

/** What every REST call takes in its query. */
export const SpaceQuery = z.object({ space: SpaceName.optional() });

/** What every REST call may be answered. */
export const ALWAYS = [
  "bad-request",
  "no-token",
  "bad-token",
  "forbidden",
  "not-found",
  "conflict",
] as const;

/** Throws ProblemError `forbidden`, whether an account of that name exists or not. */
export function onlyOwn({ account }: Session, userId: string): void {
  if (accountKey(userId) === account.key) return;
  throw new ProblemError(
    "forbidden",
    `This token does not open the account ${userId}; use one of that account.`,
  );
}

export async function spaceForReading(
  parts: RestParts,
  session: Session,
  name: string = REST_SPACE,
): Promise<SpaceRow | undefined> {
  const space = await findPlainSpace(parts.journals, session.account, name);
  // The standard space is there for everybody, only empty until the first write.
  if (space !== undefined || name === REST_SPACE) return space;
  throw new ProblemError(
    "not-found",
    `The account ${session.account.name} has no space named ${name}; list its spaces.`,
  );
}

export async function spaceThatHas(
  parts: RestParts,
  session: Session,
  name: string | undefined,
  what: string,
): Promise<SpaceRow> {
  const space = await spaceForReading(parts, session, name);
  if (space !== undefined) return space;
  throw new ProblemError("not-found", `There is no ${what} in this account yet; upload it first.`);
}
