import { createRoute, z, type OpenAPIHono } from "@hono/zod-openapi";
import { ROUTES } from "#protocol/routes.ts";
import { ServerAnswer } from "#protocol/server.ts";
import type { Evaluations } from "../evaluations.ts";
import type { JournalStore } from "../metadata/port.ts";
import type { Metrics } from "../metrics.ts";
import { ProblemError } from "../problem-error.ts";
import type { Env } from "./gates.ts";
import { problems } from "./problem.ts";

const plain = { "text/plain": { schema: z.string() } };

const health = createRoute({
  method: "get",
  path: ROUTES.health,
  summary: "Whether the process answers",
  responses: { 200: { description: "It does", content: plain } },
});

const ready = createRoute({
  method: "get",
  path: ROUTES.ready,
  summary: "Whether requests should be sent here: the database answers, and it is not closing",
  responses: { 200: { description: "They should", content: plain }, ...problems() },
});

const metricsRoute = createRoute({
  method: "get",
  path: ROUTES.metrics,
  summary: "What the server counts of itself, for Prometheus, with the token that it was given",
  responses: {
    200: { description: "Prometheus' text format", content: plain },
    ...problems("not-found", "bad-token"),
  },
});

const server = createRoute({
  method: "get",
  path: ROUTES.server,
  summary: "What this server is",
  responses: {
    200: {
      description: "Name and version",
      content: { "application/json": { schema: ServerAnswer } },
    },
  },
});

export type ServerParts = {
  readonly version: string;
  readonly evaluations: Evaluations;
  readonly journals: JournalStore;
  readonly metrics: Metrics | undefined;
  /** Aborts when the server closes. */
  readonly closing: AbortSignal;
};

export function mountServer(app: OpenAPIHono<Env>, parts: ServerParts): void {
  const { version, evaluations, journals, metrics, closing } = parts;
  app.openapi(health, (context) => context.text("ok\n", 200));

  app.openapi(ready, async (context) => {
    if (closing.aborted) throw new ProblemError("unavailable", "This server is closing.");
    // Anything that the database has to answer; it throws when it does not.
    await journals.drawn("cut key");
    return context.text("ready\n", 200);
  });

  app.openapi(metricsRoute, async (context) => {
    if (metrics === undefined) {
      throw new ProblemError("not-found", "This server was given no token for metrics.");
    }
    if (!metrics.opens(context.req.header("authorization"))) {
      throw new ProblemError("bad-token", "Metrics need the token that the server was given.");
    }
    return context.text(await metrics.text(), 200, { "content-type": metrics.mediaType });
  });

  app.openapi(server, async (context) => {
    const evaluationKeys = await evaluations.keys();
    return context.json({ name: "lockstep", version, evaluationKeys } as const, 200);
  });
}
