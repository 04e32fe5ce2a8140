import { createRoute, z, type OpenAPIHono } from "@hono/zod-openapi";
import { SpaceId } from "#protocol/ids.ts";
import { ROUTES } from "#protocol/routes.ts";
import { KeyEpochRequest, SpaceList, SpaceRequest, SpaceRow as WireRow } from "#protocol/spaces.ts";
import { writeCursor } from "../cursor.ts";
import type { JournalStore, SpaceRow } from "../metadata/port.ts";
import { beginKeyEpoch, makeSpace, type SpaceParts } from "../spaces.ts";
import { BODY_PROBLEMS, ownSpace, PageLimit, WITH_TOKEN, type Env, type Gates } from "./gates.ts";
import { ProblemError } from "../problem-error.ts";
import { pageOf } from "./page.ts";
import { problems } from "./problem.ts";

const oneSpace = (description: string) => ({
  description,
  content: { "application/json": { schema: WireRow } },
});

const listRoute = createRoute({
  method: "get",
  path: ROUTES.spaces,
  summary: "The account's spaces",
  security: WITH_TOKEN,
  request: { query: z.object({ after: SpaceId.optional(), limit: PageLimit.optional() }) },
  responses: {
    200: { description: "One page", content: { "application/json": { schema: SpaceList } } },
    ...problems("bad-request", "no-token", "bad-token"),
  },
});

const makeRoute = createRoute({
  method: "post",
  path: ROUTES.spaces,
  summary: "Make a space",
  security: WITH_TOKEN,
  request: {
    body: { required: true, content: { "application/json": { schema: SpaceRequest } } },
  },
  responses: {
    201: oneSpace("The space exists now"),
    ...problems(...BODY_PROBLEMS, "no-token", "bad-token", "conflict"),
  },
});

const spaceRoute = createRoute({
  method: "get",
  path: ROUTES.space,
  summary: "One space and its head",
  security: WITH_TOKEN,
  request: { params: z.object({ space: SpaceId }) },
  responses: {
    200: oneSpace("The space"),
    ...problems("bad-request", "no-token", "bad-token", "not-found"),
  },
});

const keyEpochRoute = createRoute({
  method: "post",
  path: ROUTES.keyEpoch,
  summary: "Begin the next keys of a sealed space",
  security: WITH_TOKEN,
  request: {
    params: z.object({ space: SpaceId }),
    body: { required: true, content: { "application/json": { schema: KeyEpochRequest } } },
  },
  responses: {
    200: oneSpace("Commits have to be closed with these keys from now on"),
    ...problems(...BODY_PROBLEMS, "no-token", "bad-token", "forbidden", "not-found", "conflict"),
  },
});

async function wireSpace(journals: JournalStore, space: SpaceRow): Promise<WireRow> {
  const { sequence, chain } = await journals.head(space.id);
  return {
    space: space.id,
    name: space.name,
    kind: space.kind,
    folding: space.folding,
    epoch: space.epoch,
    head: sequence,
    chain,
    cutKey: space.cutKey,
    start: writeCursor(space, 0),
    keyEpoch: space.kind === "sealed" ? space.keyEpoch : 0,
  };
}

export function mountSpaces(app: OpenAPIHono<Env>, parts: SpaceParts, gates: Gates): void {
  const { journals } = parts;

  app.openapi({ ...listRoute, middleware: [gates.session] }, async (context) => {
    const { after, limit } = context.req.valid("query");
    const all = await journals.spaces(context.get("session").account.id);
    const { page, next } = pageOf(all, (row) => row.id, after, limit);
    const spaces = await Promise.all(page.map((row) => wireSpace(journals, row)));
    return context.json({ spaces, ...(next === undefined ? {} : { next }) }, 200);
  });

  app.openapi({ ...makeRoute, middleware: [gates.session, gates.json()] }, async (context) => {
    const { account } = context.get("session");
    const space = await makeSpace(parts, account, context.req.valid("json"));
    return context.json(await wireSpace(journals, space), 201);
  });

  app.openapi({ ...spaceRoute, middleware: [gates.session] }, async (context) => {
    const { space: id } = context.req.valid("param");
    const space = await ownSpace(journals, context.get("session"), id);
    return context.json(await wireSpace(journals, space), 200);
  });

  app.openapi({ ...keyEpochRoute, middleware: [gates.session, gates.json()] }, async (context) => {
    const { space: id } = context.req.valid("param");
    const session = context.get("session");
    if (session.device === null) {
      throw new ProblemError("forbidden", "Only a device can begin new keys; use its token.");
    }
    const space = await ownSpace(journals, session, id);
    const { keyEpoch } = context.req.valid("json");
    return context.json(
      await wireSpace(journals, await beginKeyEpoch(journals, space, keyEpoch)),
      200,
    );
  });
}
