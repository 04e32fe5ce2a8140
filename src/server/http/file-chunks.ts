import { createRoute, z, type OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import { parseBody } from "hono/utils/body";
import { toHex } from "#core/bytes.ts";
import { chunkId, type ChunkId } from "#core/ids.ts";
import type { Clock, Digest } from "#core/world.ts";
import { ChunkUploaded } from "#protocol/files.ts";
import { ChunkId as ChunkIdSchema } from "#protocol/ids.ts";
import { MAX_CHUNK_BYTES } from "#protocol/limits.ts";
import { ROUTES } from "#protocol/routes.ts";
import { REST_SPACE } from "#protocol/spaces.ts";
import { ProblemError } from "../problem-error.ts";
import { spaceForWriting } from "../spaces.ts";
import { readWholeBody } from "./body.ts";
import { BODY_PROBLEMS, WITH_TOKEN, type Env, type Gates } from "./gates.ts";
import { ALWAYS, onlyOwn, SpaceQuery, spaceThatHas, UserId, type RestParts } from "./own-files.ts";
import { problems } from "./problem.ts";

/** What a multipart body may add to the file in it. */
const MULTIPART_BYTES = 64 * 1024;

const uploadRoute = createRoute({
  method: "post",
  path: ROUTES.uploadChunk,
  summary: "Store one chunk; its SHA-256 must be the hash in the path",
  security: WITH_TOKEN,
  request: {
    params: z.object({ user_id: UserId, chunk_hash: z.string() }),
    query: SpaceQuery,
    body: {
      required: true,
      content: {
        "application/octet-stream": { schema: { type: "string", format: "binary" } },
        "multipart/form-data": {
          schema: {
            type: "object",
            properties: { file: { type: "string", format: "binary" } },
            required: ["file"],
          },
        },
      },
    },
  },
  responses: {
    200: {
      description: "Stored, durable",
      content: { "application/json": { schema: ChunkUploaded } },
    },
    ...problems(...BODY_PROBLEMS, ...ALWAYS, "hash-mismatch", "over-quota"),
  },
});

const downloadRoute = createRoute({
  method: "get",
  path: ROUTES.downloadChunk,
  summary: "The bytes of a chunk",
  security: WITH_TOKEN,
  request: { params: z.object({ user_id: UserId, chunk_hash: ChunkIdSchema }), query: SpaceQuery },
  responses: {
    200: {
      description: "Its bytes",
      content: { "application/octet-stream": { schema: z.string().openapi({ format: "binary" }) } },
    },
    ...problems(...ALWAYS),
  },
});

async function readChunk(context: Context<Env>, clock: Clock): Promise<Uint8Array> {
  const type = context.req.header("content-type") ?? "";
  if (!type.toLowerCase().startsWith("multipart/form-data")) {
    return readWholeBody(context, clock, MAX_CHUNK_BYTES);
  }
  const body = await readWholeBody(context, clock, MAX_CHUNK_BYTES + MULTIPART_BYTES);
  let form: Record<string, unknown>;
  try {
    const { url } = context.req.raw;
    const headers = { "content-type": type };
    form = await parseBody(new Request(url, { method: "POST", headers, body }));
  } catch {
    throw new ProblemError("bad-request", "The multipart body is damaged; send it again.");
  }
  const parts = [form["file"], ...Object.values(form)];
  const file = parts.find((part) => part instanceof File);
  if (file === undefined) {
    throw new ProblemError(
      "bad-request",
      "The multipart body holds no file; send the chunk as a part named file.",
    );
  }
  return new Uint8Array(await file.arrayBuffer());
}

/** The bytes' id. Throws ProblemError when they are none, too many, or not those of `claimed`. */
function checkChunk(bytes: Uint8Array, claimed: string, digest: Digest): ChunkId {
  if (bytes.length > MAX_CHUNK_BYTES) {
    throw new ProblemError(
      "body-too-large",
      `The chunk has ${bytes.length} bytes, the most is ${MAX_CHUNK_BYTES}; cut it smaller.`,
    );
  }
  const actual = toHex(digest.sha256(bytes));
  if (actual !== claimed.toLowerCase()) {
    throw new ProblemError(
      "hash-mismatch",
      `The bytes have the SHA-256 ${actual}, not that of the path; send them again.`,
    );
  }
  if (bytes.length === 0) {
    throw new ProblemError(
      "bad-request",
      "A chunk has at least one byte; commit an empty file with no chunk_hashes.",
    );
  }
  return chunkId(actual);
}

export function mountFileChunks(app: OpenAPIHono<Env>, parts: RestParts, gates: Gates): void {
  app.openapi({ ...uploadRoute, middleware: [gates.session] }, async (context) => {
    const session = context.get("session");
    const { user_id: userId, chunk_hash: claimed } = context.req.valid("param");
    onlyOwn(session, userId);
    const bytes = await readChunk(context, parts.clock);
    const id = checkChunk(bytes, claimed, parts.digest);
    const name = context.req.valid("query").space ?? REST_SPACE;
    const space = await spaceForWriting(parts, session.account, name);
    const frames = (async function* () {
      yield { id, bytes };
    })();
    const within = parts.quotas.within(space.account, frames);
    await parts.intake.store(space.id, within, parts.clock.nowMs());
    return context.json({ status: "uploaded" } as const, 200);
  });

  app.openapi({ ...downloadRoute, middleware: [gates.session] }, async (context) => {
    const session = context.get("session");
    const { user_id: userId, chunk_hash: id } = context.req.valid("param");
    onlyOwn(session, userId);
    const { space: name } = context.req.valid("query");
    const space = await spaceThatHas(parts, session, name, `chunk ${id}`);
    for await (const { bytes } of await parts.intake.fetch(space.id, [id])) {
      return new Response(bytes as Uint8Array<ArrayBuffer>, {
        headers: {
          "content-type": "application/octet-stream",
          "content-length": String(bytes.length),
        },
      });
    }
    throw new ProblemError("not-found", `This space does not hold chunk ${id}.`);
  });
}
