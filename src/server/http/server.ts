import { createRoute, z, type OpenAPIHono } from "@hono/zod-openapi";
import { ROUTES } from "#protocol/routes.ts";
import type { Env } from "./gates.ts";

const ServerAnswer = z.object({ name: z.literal("lockstep"), version: z.string() });

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

export function mountServer(app: OpenAPIHono<Env>, version: string): void {
  app.openapi(health, (context) => context.text("ok\n", 200));
  app.openapi(server, (context) => context.json({ name: "lockstep", version } as const, 200));
}
