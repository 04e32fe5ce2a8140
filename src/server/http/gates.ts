import type { HttpBindings } from "@hono/node-server";
import { z } from "@hono/zod-openapi";
import type { MiddlewareHandler } from "hono";
import type { Clock } from "#core/world.ts";
import { spaceId, type AccountId, type DeviceId } from "#core/ids.ts";
import { MAX_PAGE, MAX_SMALL_JSON_BYTES } from "#protocol/limits.ts";
import type { JournalStore, SpaceRow } from "../metadata/port.ts";
import { ProblemError } from "../problem-error.ts";
import type { Rates } from "../rates.ts";
import type { Session, Sessions } from "../tokens.ts";
import { limitBody } from "./body.ts";
import { codeAnswers } from "./coding.ts";

/** What middleware leaves on a request. */
export type Env = {
  /** There is no socket where the app is called by itself. */
  Bindings: Partial<Pick<HttpBindings, "incoming" | "outgoing">>;
  Variables: {
    session: Session;
    requestId: string;
    bytes: number;
    /** Whose account and device a call without a session was about, as its answer says. */
    subject?: { readonly account: AccountId; readonly device?: DeviceId };
  };
};

/** The checks that stand before a route's own code. */
export type Gates = {
  /** Only with a valid token, and not more often than an account may; leaves the session. */
  readonly session: MiddlewareHandler<Env>;
  /** A JSON body of at most `maxBytes`, read before it is parsed. */
  json(maxBytes?: number): MiddlewareHandler;
  /** Before `session`: the answer goes coded to whoever takes it so. */
  readonly coded: MiddlewareHandler<Env>;
};

export function buildGates(sessions: Sessions, rates: Rates, clock: Clock): Gates {
  return {
    session: async (context, next) => {
      const session = await sessions.open(context.req.header("authorization"));
      context.set("session", session);
      rates.take(session.account.id);
      await next();
    },
    json: (maxBytes = MAX_SMALL_JSON_BYTES) => limitBody(clock, maxBytes),
    coded: codeAnswers(),
  };
}

/** The account of a device's session: programs have no business with keys. */
export function onlyDevices({ device, account }: Session): Session["account"] {
  if (device !== null) return account;
  throw new ProblemError(
    "forbidden",
    "Only a device may do that, for it takes the account's keys.",
  );
}

/** In a route definition: this call needs a token. */
export const WITH_TOKEN: { bearer: string[] }[] = [{ bearer: [] }];

/** What any call with a body may be answered beside its own problems. */
export const BODY_PROBLEMS = [
  "bad-request",
  "timeout",
  "body-too-large",
  "unsupported-media-type",
  "storage-full",
] as const;

/**
 * The space of a path, if it is the session's. Throws ProblemError `not-found`: somebody else's
 * space gets the answer of one that does not exist.
 */
export async function ownSpace(
  journals: JournalStore,
  session: Session,
  id: string,
): Promise<SpaceRow> {
  const space = await journals.space(spaceId(id));
  if (space === undefined || space.account !== session.account.id) {
    throw new ProblemError(
      "not-found",
      `There is no space ${id} in this account; list its spaces for those there are.`,
    );
  }
  return space;
}

/** A whole number in a query: text on the wire, an integer in the document and in the code. */
export function queryInteger(least: number, most: number) {
  return z
    .string()
    .regex(/^\d{1,15}$/, "a whole number")
    .transform(Number)
    .refine((value) => value >= least && value <= most, `a whole number from ${least} to ${most}`)
    .openapi({ type: "integer", minimum: least, maximum: most });
}

export const PageLimit = queryInteger(1, MAX_PAGE);
