import type { MiddlewareHandler } from "hono";
import { matchedRoutes } from "hono/route";
import type { Log } from "#core/world.ts";
import { ROUTES } from "#protocol/routes.ts";
import type { Env } from "./gates.ts";

/** Calls that change who may what, and how the audit log calls them. */
const AUDITED: Readonly<Record<string, string>> = {
  [`POST ${ROUTES.accounts}`]: "account-made",
  [`POST ${ROUTES.devices}`]: "device-signed-in",
  [`DELETE ${pattern(ROUTES.device)}`]: "device-revoked",
  [`POST ${ROUTES.tokens}`]: "token-made",
  [`POST ${ROUTES.password}`]: "password-changed",
  [`PUT ${ROUTES.keyring}`]: "keys-changed",
  [`POST ${ROUTES.joinCodes}`]: "join-offered",
  [`POST ${ROUTES.join}`]: "join-asked",
  [`POST ${ROUTES.joinWithdrawals}`]: "join-withdrawn",
  [`POST ${ROUTES.joinDevices}`]: "device-joined",
  [`POST ${ROUTES.spaces}`]: "space-made",
  [`POST ${pattern(ROUTES.keyEpoch)}`]: "space-keys-begun",
};

/** A route's path as its handlers are found by. */
function pattern(path: string): string {
  return path.replaceAll(/\{(\w+)\}/g, ":$1");
}

/**
 * One line for each call that changes who may what, whether it did or was refused: what, how it
 * ended, and the ids of the request, of the account and of the device that it was of. No name.
 */
export function auditRequests(audit: Log): MiddlewareHandler<Env> {
  return async (context, next) => {
    await next();
    const { method } = context.req;
    const what = AUDITED[`${method} ${matchedRoutes(context).at(-1)?.path ?? "*"}`];
    if (what === undefined) return;
    const session: Env["Variables"]["session"] | undefined = context.get("session");
    const subject: Env["Variables"]["subject"] = context.get("subject");
    const { status } = context.res;
    audit.info("audit", {
      what,
      outcome: status < 400 ? "done" : "refused",
      status,
      id: context.get("requestId"),
      account: subject?.account ?? session?.account.id,
      device: subject?.device ?? context.req.param("device") ?? session?.device ?? undefined,
    });
  };
}
