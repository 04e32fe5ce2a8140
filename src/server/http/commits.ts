import { createRoute, z, type OpenAPIHono } from "@hono/zod-openapi";
import type { Clock } from "#core/world.ts";
import { Commit, CommitAnswer } from "#protocol/commit.ts";
import { SpaceId } from "#protocol/ids.ts";
import { MAX_JSON_BYTES } from "#protocol/limits.ts";
import { ROUTES } from "#protocol/routes.ts";
import type { Journal } from "../journal.ts";
import type { JournalStore } from "../metadata/port.ts";
import { BODY_PROBLEMS, ownSpace, WITH_TOKEN, type Env, type Gates } from "./gates.ts";
import { problems } from "./problem.ts";

const answer = { "application/json": { schema: CommitAnswer } };

const commitRoute = createRoute({
  method: "post",
  path: ROUTES.commits,
  summary: "Append a commit to the space's journal, all of it or nothing",
  security: WITH_TOKEN,
  request: {
    params: z.object({ space: SpaceId }),
    body: { required: true, content: { "application/json": { schema: Commit } } },
  },
  responses: {
    200: { description: "It landed", content: answer },
    409: { description: "Nothing of it landed: refused, or chunks are missing", content: answer },
    ...problems(...BODY_PROBLEMS, "no-token", "bad-token", "not-found"),
  },
});

export function mountCommits(
  app: OpenAPIHono<Env>,
  parts: { readonly journals: JournalStore; readonly journal: Journal; readonly clock: Clock },
  gates: Gates,
): void {
  const middleware = [gates.coded, gates.session, gates.json(MAX_JSON_BYTES)];
  app.openapi({ ...commitRoute, middleware }, async (context) => {
    const session = context.get("session");
    const space = await ownSpace(parts.journals, session, context.req.valid("param").space);
    const outcome = await parts.journal.commit(space, context.req.valid("json"), {
      device: session.device ?? undefined,
      nowMs: parts.clock.nowMs(),
    });
    return context.json(outcome, outcome.outcome === "committed" ? 200 : 409);
  });
}
