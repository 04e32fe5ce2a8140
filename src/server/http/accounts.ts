import { createRoute, z, type OpenAPIHono } from "@hono/zod-openapi";
import {
  DeviceList,
  type DeviceRow,
  Enrol,
  Enrolled,
  Login,
  LoginAnswer,
  Recovery,
  RecoveryAnswer,
  Registration,
  RegistrationAnswer,
  SignedUp,
  SignUp,
  TokenAnswer,
  TokenRequest,
} from "#protocol/accounts.ts";
import { DeviceId } from "#protocol/ids.ts";
import { ROUTES } from "#protocol/routes.ts";
import { accountKey, signUp, type AccountParts } from "../accounts.ts";
import { enrol, revoke, type Enrolment } from "../devices.ts";
import { signIn, startLogin, startRecovery } from "../logins.ts";
import type { AccountRow } from "../metadata/port.ts";
import { ProblemError } from "../problem-error.ts";
import { createToken } from "../tokens.ts";
import { BODY_PROBLEMS, PageLimit, WITH_TOKEN, type Env, type Gates } from "./gates.ts";
import { pageOf } from "./page.ts";
import { problems } from "./problem.ts";

const json = <Schema extends z.ZodType>(schema: Schema) => ({ "application/json": { schema } });
const body = <Schema extends z.ZodType>(schema: Schema) => ({
  body: { required: true as const, content: json(schema) },
});

const registrationRoute = createRoute({
  method: "post",
  path: ROUTES.registrations,
  summary: "First half of choosing a password (OPAQUE, RFC 9807)",
  request: body(Registration),
  responses: {
    200: { description: "The server's part", content: json(RegistrationAnswer) },
    ...problems(...BODY_PROBLEMS),
  },
});

const loginRoute = createRoute({
  method: "post",
  path: ROUTES.logins,
  summary: "First half of a sign-in by password (OPAQUE, RFC 9807)",
  request: body(Login),
  responses: {
    200: { description: "The server's part", content: json(LoginAnswer) },
    ...problems(...BODY_PROBLEMS, "too-many-requests"),
  },
});

const recoveryRoute = createRoute({
  method: "post",
  path: ROUTES.recoveries,
  summary: "First half of a sign-in by recovery words",
  request: body(Recovery),
  responses: {
    200: { description: "What to sign", content: json(RecoveryAnswer) },
    ...problems(...BODY_PROBLEMS, "too-many-requests"),
  },
});

const signUpRoute = createRoute({
  method: "post",
  path: ROUTES.accounts,
  summary: "Make an account",
  request: body(SignUp),
  responses: {
    201: { description: "The account exists now", content: json(SignedUp) },
    ...problems(...BODY_PROBLEMS, "account-taken"),
  },
});

const enrolRoute = createRoute({
  method: "post",
  path: ROUTES.devices,
  summary: "Make a machine one of the account's devices",
  request: body(Enrol),
  responses: {
    201: { description: "The device and its token", content: json(Enrolled) },
    ...problems(...BODY_PROBLEMS, "bad-credentials", "conflict"),
  },
});

const devicesRoute = createRoute({
  method: "get",
  path: ROUTES.devices,
  summary: "The account's devices, oldest first, revoked ones too",
  security: WITH_TOKEN,
  request: { query: z.object({ after: DeviceId.optional(), limit: PageLimit.optional() }) },
  responses: {
    200: { description: "One page", content: json(DeviceList) },
    ...problems("bad-request", "no-token", "bad-token"),
  },
});

const revokeRoute = createRoute({
  method: "delete",
  path: ROUTES.device,
  summary: "Revoke a device: its token opens nothing from now on",
  security: WITH_TOKEN,
  request: { params: z.object({ device: DeviceId }) },
  responses: {
    204: { description: "Revoked" },
    ...problems("bad-request", "no-token", "bad-token", "not-found"),
  },
});

const tokenRoute = createRoute({
  method: "post",
  path: ROUTES.tokens,
  summary: "Make a token for a program",
  request: body(TokenRequest),
  responses: {
    201: { description: "The token, shown this once", content: json(TokenAnswer) },
    ...problems(...BODY_PROBLEMS, "bad-credentials"),
  },
});

/** A new device, as it is told. */
export function enrolled(
  account: AccountRow,
  { device, token }: Enrolment,
): z.infer<typeof Enrolled> {
  return {
    accountId: account.id,
    account: account.name,
    device: device.id,
    deviceName: device.name,
    token,
  };
}

function mountDevices(app: OpenAPIHono<Env>, parts: AccountParts, gates: Gates): void {
  app.openapi({ ...enrolRoute, middleware: [gates.json()] }, async (context) => {
    const { proof, device } = context.req.valid("json");
    const account = await signIn(parts, proof);
    const enrolment = await enrol(parts, account, device);
    context.set("subject", { account: account.id, device: enrolment.device.id });
    return context.json(enrolled(account, enrolment), 201);
  });

  app.openapi({ ...devicesRoute, middleware: [gates.session] }, async (context) => {
    const { after, limit } = context.req.valid("query");
    const all = await parts.accounts.devices(context.get("session").account.id);
    const { page, next } = pageOf(all, (row) => row.id, after, limit);
    const devices: z.infer<typeof DeviceRow>[] = page.map((row) => ({
      device: row.id,
      name: row.name,
      createdMs: row.createdMs,
      lastSeenMs: row.lastSeenMs,
      revoked: row.revoked,
    }));
    return context.json({ devices, ...(next === undefined ? {} : { next }) }, 200);
  });

  app.openapi({ ...revokeRoute, middleware: [gates.session] }, async (context) => {
    await revoke(parts, context.get("session").account.id, context.req.valid("param").device);
    return context.body(null, 204);
  });
}

export function mountAccounts(app: OpenAPIHono<Env>, parts: AccountParts, gates: Gates): void {
  app.openapi({ ...signUpRoute, middleware: [gates.json()] }, async (context) => {
    const account = await signUp(parts, context.req.valid("json"));
    context.set("subject", { account: account.id });
    return context.json({ accountId: account.id, account: account.name }, 201);
  });

  app.openapi({ ...registrationRoute, middleware: [gates.json()] }, (context) => {
    const { account, registrationRequest } = context.req.valid("json");
    const registrationResponse = parts.opaque.register(accountKey(account), registrationRequest);
    if (registrationResponse !== null) return context.json({ registrationResponse }, 200);
    throw new ProblemError("bad-request", "The registration's message is none of OPAQUE's.");
  });

  app.openapi({ ...loginRoute, middleware: [gates.json()] }, async (context) => {
    return context.json(await startLogin(parts, context.req.valid("json")), 200);
  });

  app.openapi({ ...recoveryRoute, middleware: [gates.json()] }, async (context) => {
    return context.json(await startRecovery(parts, context.req.valid("json")), 200);
  });

  mountDevices(app, parts, gates);

  app.openapi({ ...tokenRoute, middleware: [gates.json()] }, async (context) => {
    const { label, expiresInS, proof } = context.req.valid("json");
    const account = await signIn(parts, proof);
    context.set("subject", { account: account.id });
    return context.json(await createToken(parts, account, { label, expiresInS }), 201);
  });
}
