import { createRoute, type z, type OpenAPIHono } from "@hono/zod-openapi";
import {
  Enrolled,
  Join,
  JoinAnswer,
  JoinCode,
  JoinDevice,
  JoinMessage,
  JoinNext,
  JoinOffer,
  JoinWithdrawal,
} from "#protocol/accounts.ts";
import { ROUTES } from "#protocol/routes.ts";
import {
  answerJoin,
  enrolJoining,
  nextMessage,
  offerJoin,
  requestJoin,
  withdrawJoin,
  type JoinParts,
} from "../join.ts";
import { enrolled } from "./accounts.ts";
import { BODY_PROBLEMS, onlyDevices, WITH_TOKEN, type Env, type Gates } from "./gates.ts";
import { problems } from "./problem.ts";

const json = <Schema extends z.ZodType>(schema: Schema) => ({ "application/json": { schema } });
const body = <Schema extends z.ZodType>(schema: Schema) => ({
  body: { required: true as const, content: json(schema) },
});

const kept = { 204: { description: "It is kept" } };
const OWN_PROBLEMS = [...BODY_PROBLEMS, "no-token", "bad-token", "forbidden"] as const;

const offerRoute = createRoute({
  method: "post",
  path: ROUTES.joinCodes,
  summary: "Begin to let one more machine in, by a code that the server never sees",
  security: WITH_TOKEN,
  request: body(JoinOffer),
  responses: {
    201: { description: "It is kept for 10 minutes", content: json(JoinCode) },
    ...problems(...OWN_PROBLEMS),
  },
});

const answerRoute = createRoute({
  method: "post",
  path: ROUTES.joinAnswers,
  summary: "Answer the machine that asked to join",
  security: WITH_TOKEN,
  request: body(JoinAnswer),
  responses: { ...kept, ...problems(...OWN_PROBLEMS, "not-found", "conflict") },
});

const deviceRoute = createRoute({
  method: "post",
  path: ROUTES.joinDevices,
  summary: "Make the machine that asked to join a device of the account",
  security: WITH_TOKEN,
  request: body(JoinDevice),
  responses: {
    201: { description: "The device and its token", content: json(Enrolled) },
    ...problems(...OWN_PROBLEMS, "not-found", "conflict"),
  },
});

const withdrawalRoute = createRoute({
  method: "post",
  path: ROUTES.joinWithdrawals,
  summary: "End a join code before its time",
  security: WITH_TOKEN,
  request: body(JoinWithdrawal),
  responses: {
    204: { description: "It opens nothing any more" },
    ...problems(...OWN_PROBLEMS, "not-found"),
  },
});

const requestRoute = createRoute({
  method: "post",
  path: ROUTES.join,
  summary:
    "Ask to become a device of the account behind a join code; the first to ask is the only one",
  request: body(Join),
  responses: { ...kept, ...problems(...BODY_PROBLEMS, "not-found", "too-many-requests") },
});

const nextRoute = createRoute({
  method: "post",
  path: ROUTES.joinNext,
  summary: "A message of the other machine, waited for",
  request: body(JoinNext),
  responses: {
    200: { description: "The message, or null", content: json(JoinMessage) },
    ...problems(...BODY_PROBLEMS, "not-found", "too-many-requests"),
  },
});

export function mountJoins(app: OpenAPIHono<Env>, parts: JoinParts, gates: Gates): void {
  const own = [gates.session, gates.json()];

  app.openapi({ ...offerRoute, middleware: own }, async (context) => {
    const account = onlyDevices(context.get("session"));
    return context.json(await offerJoin(parts, account, context.req.valid("json")), 201);
  });

  app.openapi({ ...answerRoute, middleware: own }, async (context) => {
    await answerJoin(parts, onlyDevices(context.get("session")), context.req.valid("json"));
    return context.body(null, 204);
  });

  app.openapi({ ...deviceRoute, middleware: own }, async (context) => {
    const account = onlyDevices(context.get("session"));
    const enrolment = await enrolJoining(parts, account, context.req.valid("json"));
    context.set("subject", { account: account.id, device: enrolment.device.id });
    return context.json(enrolled(account, enrolment), 201);
  });

  app.openapi({ ...withdrawalRoute, middleware: own }, async (context) => {
    const account = onlyDevices(context.get("session"));
    await withdrawJoin(parts, account, context.req.valid("json").locator);
    return context.body(null, 204);
  });

  app.openapi({ ...requestRoute, middleware: [gates.json()] }, async (context) => {
    await requestJoin(parts, context.req.valid("json"));
    return context.body(null, 204);
  });

  app.openapi({ ...nextRoute, middleware: [gates.json()] }, async (context) => {
    const wish = context.req.valid("json");
    const message = await nextMessage(parts, wish, context.req.raw.signal);
    return context.json({ message }, 200);
  });
}
