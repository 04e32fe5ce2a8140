import { createRoute, z, type OpenAPIHono } from "@hono/zod-openapi";
import { ROUTES } from "#protocol/routes.ts";
import { ServerAnswer } from "#protocol/server.ts";
import type { Evaluations } from "../evaluations.ts";
import type { Env } from "./gates.ts";

const health = createRoute({
  method: "get",
  path: ROUTES.health,
  summary: "Whether the process answers",
  responses: { 200: { description: "It does", content: { "text/plain": { schema: z.string() } } } },
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

export function mountServer(
  app: OpenAPIHono<Env>,
  { version, evaluations }: { readonly version: string; readonly evaluations: Evaluations },
): void {
  app.openapi(health, (context) => context.text("ok\n", 200));
  app.openapi(server, async (context) => {
    const evaluationKeys = await evaluations.keys();
    return context.json({ name: "lockstep", version, evaluationKeys } as const, 200);
  });
}
