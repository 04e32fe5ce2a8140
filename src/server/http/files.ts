import { createRoute, z, type OpenAPIHono, type RouteConfig } from "@hono/zod-openapi";
import {
  FileList,
  FileMetadata,
  FileReverted,
  MetadataCommit,
  MetadataCommitted,
  UpdatedFiles,
} from "#protocol/files.ts";
import { MAX_JSON_BYTES } from "#protocol/limits.ts";
import { readPlainMeta } from "#protocol/meta.ts";
import { ROUTES } from "#protocol/routes.ts";
import { REST_SPACE } from "#protocol/spaces.ts";
import { commitFile, findFile, listFiles, revertFile, versionOf } from "../files.ts";
import { spaceForWriting } from "../spaces.ts";
import { updatesSince } from "../updates.ts";
import { mountFileChunks } from "./file-chunks.ts";
import {
  BODY_PROBLEMS,
  PageLimit,
  queryInteger,
  WITH_TOKEN,
  type Env,
  type Gates,
} from "./gates.ts";
import {
  ALWAYS,
  onlyOwn,
  spaceForReading,
  SpaceQuery,
  spaceThatHas,
  UserId,
  type RestParts,
} from "./own-files.ts";
import { problems } from "./problem.ts";

const json = <Schema extends z.ZodType>(schema: Schema) => ({ "application/json": { schema } });
const FilePath = z.string().openapi({ description: "Slashes stand as they are, or as %2F" });
const version = queryInteger(0, Number.MAX_SAFE_INTEGER);
const commitRoute = createRoute({
  method: "post",
  path: ROUTES.metadataCommit,
  summary: "Make chunks the content of a file",
  security: WITH_TOKEN,
  request: { query: SpaceQuery, body: { required: true, content: json(MetadataCommit) } },
  responses: {
    200: { description: "Committed, or chunks are missing", content: json(MetadataCommitted) },
    ...problems(...BODY_PROBLEMS, ...ALWAYS, "stale-version"),
  },
});

const metadataRoute = createRoute({
  method: "get",
  path: ROUTES.fileMetadata,
  summary: "A file's chunks and version",
  security: WITH_TOKEN,
  request: { params: z.object({ user_id: UserId, file_path: FilePath }), query: SpaceQuery },
  responses: {
    200: { description: "The file", content: json(FileMetadata) },
    ...problems(...ALWAYS),
  },
});

const listRoute = createRoute({
  method: "get",
  path: ROUTES.listFiles,
  summary: "All files, by path; with `limit` in pages",
  security: WITH_TOKEN,
  request: {
    params: z.object({ user_id: UserId }),
    query: SpaceQuery.extend({ limit: PageLimit.optional(), after: z.string().optional() }),
  },
  responses: {
    200: { description: "The files", content: json(FileList) },
    ...problems(...ALWAYS),
  },
});

const updatesRoute = createRoute({
  method: "get",
  path: ROUTES.getUpdates,
  summary:
    "What changed after a version; `limit` bounds how many versions, ask on from `latest_version`",
  security: WITH_TOKEN,
  request: {
    params: z.object({ user_id: UserId, since_version: version }),
    query: SpaceQuery.extend({ limit: PageLimit.optional() }),
  },
  responses: {
    200: { description: "Changed paths, deleted ones marked", content: json(UpdatedFiles) },
    ...problems(...ALWAYS),
  },
});

const revertRoute = createRoute({
  method: "post",
  path: ROUTES.revertFile,
  summary: "Make an older content of a file current again, as a new version",
  security: WITH_TOKEN,
  request: {
    params: z.object({ user_id: UserId, file_path: FilePath }),
    query: SpaceQuery.extend({ to_version: version.optional() }),
  },
  responses: {
    200: { description: "It is current again", content: json(FileReverted) },
    ...problems(...ALWAYS, "version-forgotten"),
  },
});

/** A route whose last parameter takes the rest of the path, slashes and newlines included. */
function asRest<Route extends RouteConfig>(app: OpenAPIHono<Env>, route: Route) {
  // The document knows no such parameter: there it is an ordinary one.
  app.openAPIRegistry.registerPath(route);
  return { ...route, path: `${route.path}{[^]+}` as Route["path"], hide: true as const };
}

function mountListCalls(app: OpenAPIHono<Env>, parts: RestParts, gates: Gates): void {
  app.openapi({ ...listRoute, middleware: [gates.session] }, async (context) => {
    const session = context.get("session");
    onlyOwn(session, context.req.valid("param").user_id);
    const { space: name, limit = Number.POSITIVE_INFINITY, after } = context.req.valid("query");
    const space = await spaceForReading(parts, session, name);
    const all = space === undefined ? [] : await listFiles(parts.journals, space);
    const begin = after === undefined ? 0 : all.findIndex(({ path }) => path > after);
    const rest = begin < 0 ? [] : all.slice(begin);
    const files = rest
      .slice(0, limit)
      .map((file) => ({ file_path: file.path, version: file.version }));
    const last = files.at(-1);
    const more = rest.length > files.length && last !== undefined;
    return context.json(more ? { files, next: last.file_path } : { files }, 200);
  });

  app.openapi({ ...updatesRoute, middleware: [gates.session] }, async (context) => {
    const session = context.get("session");
    const { user_id: userId, since_version: since } = context.req.valid("param");
    onlyOwn(session, userId);
    const { space: name, limit } = context.req.valid("query");
    const space = await spaceForReading(parts, session, name);
    if (space === undefined) return context.json({ updated_files: [], latest_version: 0 }, 200);
    const { updates, upTo } = await updatesSince(parts.journals, space, since, limit);
    const updated = updates.map(({ path, version, deleted }) =>
      deleted ? { file_path: path, version, deleted } : { file_path: path, version },
    );
    return context.json({ updated_files: updated, latest_version: upTo }, 200);
  });
}

export function mountFiles(app: OpenAPIHono<Env>, parts: RestParts, gates: Gates): void {
  const withJson = [gates.session, gates.json(MAX_JSON_BYTES)];
  app.openapi({ ...commitRoute, middleware: withJson }, async (context) => {
    const session = context.get("session");
    const wish = context.req.valid("json");
    onlyOwn(session, wish.user_id);
    const name = wish.space ?? context.req.valid("query").space ?? REST_SPACE;
    const space = await spaceForWriting(parts, session.account, name);
    const done = await commitFile(parts, space, session, {
      path: wish.file_path,
      chunks: wish.chunk_hashes,
      baseVersion: wish.base_version,
      executable: wish.executable,
    });
    return context.json(
      {
        status: done.outcome,
        version_id: done.version,
        missing_chunks: done.outcome === "pending" ? done.missing : [],
      },
      200,
    );
  });

  mountFileChunks(app, parts, gates);
  mountListCalls(app, parts, gates);

  const metadata = { ...asRest(app, metadataRoute), middleware: [gates.session] };
  app.openapi(metadata, async (context) => {
    const session = context.get("session");
    const { user_id: userId, file_path: path } = context.req.valid("param");
    onlyOwn(session, userId);
    const { space: name } = context.req.valid("query");
    const space = await spaceThatHas(parts, session, name, `file ${path}`);
    const node = await findFile(parts.journals, space, path);
    const { content } = readPlainMeta(node.meta);
    if (content.kind !== "file") throw new Error("a file's meta is a file's");
    return context.json(
      {
        chunk_hashes: [...node.chunks],
        version: versionOf(node),
        size_bytes: content.sizeBytes,
        sha256: content.sha256,
      },
      200,
    );
  });

  const revert = { ...asRest(app, revertRoute), middleware: [gates.session] };
  app.openapi(revert, async (context) => {
    const session = context.get("session");
    const { user_id: userId, file_path: path } = context.req.valid("param");
    onlyOwn(session, userId);
    const { space: name, to_version: toVersion } = context.req.valid("query");
    const space = await spaceThatHas(parts, session, name, `file ${path}`);
    const done = await revertFile(parts, space, session, { path, toVersion });
    return context.json(
      {
        status: "reverted" as const,
        version_id: done.version,
        from_version_id: done.fromVersion,
        previous_version_id: done.previousVersion,
      },
      200,
    );
  });
}
