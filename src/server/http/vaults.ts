import { createRoute, type z, type OpenAPIHono } from "@hono/zod-openapi";
import { AccountVault, KeyringUpdate, PasswordChange } from "#protocol/accounts.ts";
import { MAX_JSON_BYTES } from "#protocol/limits.ts";
import { ROUTES } from "#protocol/routes.ts";
import type { AccountParts } from "../accounts.ts";
import { signIn } from "../logins.ts";
import { outrun, vaultOf } from "../vaults.ts";
import { BODY_PROBLEMS, onlyDevices, WITH_TOKEN, type Env, type Gates } from "./gates.ts";
import { problems } from "./problem.ts";

const json = <Schema extends z.ZodType>(schema: Schema) => ({ "application/json": { schema } });
const body = <Schema extends z.ZodType>(schema: Schema) => ({
  body: { required: true as const, content: json(schema) },
});

const vaultRoute = createRoute({
  method: "get",
  path: ROUTES.vault,
  summary: "What the account keeps here closed: its bundle and its keyring",
  security: WITH_TOKEN,
  responses: {
    200: { description: "Both, and their versions", content: json(AccountVault) },
    ...problems("bad-request", "no-token", "bad-token", "forbidden", "not-found"),
  },
});

const replaced = { 204: { description: "It took the place of the version before" } };
const refusals = [...BODY_PROBLEMS, "no-token", "bad-token", "forbidden", "conflict"] as const;

const keyringRoute = createRoute({
  method: "put",
  path: ROUTES.keyring,
  summary: "Replace the account's keyring, and with new keys its bundle",
  security: WITH_TOKEN,
  request: body(KeyringUpdate),
  responses: { ...replaced, ...problems(...refusals) },
});

const passwordRoute = createRoute({
  method: "post",
  path: ROUTES.password,
  summary: "Choose another password, with the old one or the recovery words",
  request: body(PasswordChange),
  responses: {
    ...replaced,
    ...problems(...BODY_PROBLEMS, "bad-credentials", "conflict"),
  },
});

export function mountVaults(app: OpenAPIHono<Env>, parts: AccountParts, gates: Gates): void {
  const { accounts } = parts;

  app.openapi({ ...vaultRoute, middleware: [gates.session] }, async (context) => {
    return context.json(await vaultOf(accounts, onlyDevices(context.get("session"))), 200);
  });

  const large = [gates.session, gates.json(MAX_JSON_BYTES)];
  app.openapi({ ...keyringRoute, middleware: large }, async (context) => {
    const account = onlyDevices(context.get("session"));
    const update = context.req.valid("json");
    if (!(await accounts.putKeyring(account.id, update))) throw outrun("keyring", update.version);
    return context.body(null, 204);
  });

  app.openapi({ ...passwordRoute, middleware: [gates.json()] }, async (context) => {
    const { proof, registrationRecord: opaqueRecord, ...update } = context.req.valid("json");
    const account = await signIn(parts, proof);
    context.set("subject", { account: account.id });
    const isDone = await accounts.putBundle(account.id, { ...update, opaqueRecord });
    if (!isDone) throw outrun("bundle", update.version);
    return context.body(null, 204);
  });
}
