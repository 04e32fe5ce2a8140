import { createRoute, z, type OpenAPIHono } from "@hono/zod-openapi";
import { nodeId, type DeviceId } from "#core/ids.ts";
import { NodeId, SpaceId } from "#protocol/ids.ts";
import { ROUTES } from "#protocol/routes.ts";
import {
  RevisionContent,
  RevisionList,
  TrashList,
  type RevisionRow as WireRow,
} from "#protocol/spaces.ts";
import type { Metadata, RevisionRow } from "../metadata/port.ts";
import { ProblemError } from "../problem-error.ts";
import { ownSpace, PageLimit, queryInteger, WITH_TOKEN, type Env, type Gates } from "./gates.ts";
import { problems } from "./problem.ts";

/** Rows of a page when the caller does not say. */
const DEFAULT_PAGE = 100;

const Before = queryInteger(1, Number.MAX_SAFE_INTEGER).optional();
const Page = z.object({ before: Before, limit: PageLimit.optional() });
const Node = z.object({ space: SpaceId, node: NodeId });

const revisionsRoute = createRoute({
  method: "get",
  path: ROUTES.revisions,
  summary: "What a node was, newest first",
  security: WITH_TOKEN,
  request: { params: Node, query: Page },
  responses: {
    200: { description: "One page", content: { "application/json": { schema: RevisionList } } },
    ...problems("bad-request", "no-token", "bad-token", "not-found"),
  },
});

const revisionRoute = createRoute({
  method: "get",
  path: ROUTES.revision,
  summary: "What a node held as of a sequence, to make a new revision from",
  security: WITH_TOKEN,
  request: {
    params: Node.extend({ sequence: queryInteger(1, Number.MAX_SAFE_INTEGER) }),
  },
  responses: {
    200: {
      description: "Its content",
      content: { "application/json": { schema: RevisionContent } },
    },
    ...problems("bad-request", "no-token", "bad-token", "not-found", "version-forgotten"),
  },
});

const trashRoute = createRoute({
  method: "get",
  path: ROUTES.trash,
  summary: "Deleted nodes, latest deletion first",
  security: WITH_TOKEN,
  request: { params: z.object({ space: SpaceId }), query: Page },
  responses: {
    200: { description: "One page", content: { "application/json": { schema: TrashList } } },
    ...problems("bad-request", "no-token", "bad-token", "not-found"),
  },
});

function wireRow(row: RevisionRow, names: ReadonlyMap<DeviceId, string>): WireRow {
  const { id, sequence, follows, type, parent, name, meta, timeMs, device, deleted, forgotten } =
    row;
  const deviceName = device === undefined ? undefined : names.get(device);
  return {
    node: id,
    sequence,
    type,
    parent,
    name,
    meta,
    follows,
    timeMs,
    ...(device === undefined ? {} : { device }),
    ...(deviceName === undefined ? {} : { deviceName }),
    deleted,
    ...(forgotten === undefined ? {} : { forgotten }),
  };
}

export function mountRevisions(
  app: OpenAPIHono<Env>,
  { accounts, journals }: Pick<Metadata, "accounts" | "journals">,
  gates: Gates,
): void {
  const namesOf = async (account: Parameters<typeof accounts.devices>[0]) =>
    new Map((await accounts.devices(account)).map((row) => [row.id, row.name]));

  app.openapi({ ...revisionsRoute, middleware: [gates.session] }, async (context) => {
    const { space: id, node } = context.req.valid("param");
    const { before = Number.MAX_SAFE_INTEGER, limit = DEFAULT_PAGE } = context.req.valid("query");
    const space = await ownSpace(journals, context.get("session"), id);
    const rows = await journals.revisions(space.id, node, before, limit + 1);
    if (rows.length === 0 && (await journals.nodes(space.id, [node])).length === 0) {
      throw noNode(node, space.id);
    }
    const names = await namesOf(space.account);
    const revisions = rows.slice(0, limit).map((row) => wireRow(row, names));
    return context.json({ revisions, ...nextOf(rows, limit) }, 200);
  });

  app.openapi({ ...revisionRoute, middleware: [gates.session] }, async (context) => {
    const { space: id, node, sequence } = context.req.valid("param");
    const space = await ownSpace(journals, context.get("session"), id);
    const row = await journals.revisionAt(space.id, nodeId(node), sequence);
    if (row === undefined) throw noNode(node, space.id);
    if (row.forgotten === true) {
      throw new ProblemError(
        "version-forgotten",
        `What node ${node} held at ${sequence} is no longer kept; choose a later version.`,
      );
    }
    const { meta, follows, chunks, lengths } = row;
    const content = { meta, follows, chunks: [...chunks] };
    return context.json(
      lengths === undefined ? content : { ...content, lengths: [...lengths] },
      200,
    );
  });

  app.openapi({ ...trashRoute, middleware: [gates.session] }, async (context) => {
    const { before = Number.MAX_SAFE_INTEGER, limit = DEFAULT_PAGE } = context.req.valid("query");
    const { space: id } = context.req.valid("param");
    const space = await ownSpace(journals, context.get("session"), id);
    // A page ends with the last of one commit's deletions, so it may be longer than asked for.
    const rows = await journals.trash(space.id, before, limit);
    const names = await namesOf(space.account);
    const nodes = rows.map((row) => wireRow(row, names));
    const last = rows.at(-1);
    const more = rows.length >= limit && last !== undefined;
    return context.json(more ? { nodes, next: last.sequence } : { nodes }, 200);
  });
}

function noNode(node: string, space: string): ProblemError {
  return new ProblemError(
    "not-found",
    `Space ${space} has no node ${node} (or had none at that sequence); look it up in the feed.`,
  );
}

function nextOf(rows: readonly RevisionRow[], limit: number): { next?: number } {
  const last = rows[limit - 1];
  return rows.length > limit && last !== undefined ? { next: last.sequence } : {};
}
