import { createRoute, z, type OpenAPIHono } from "@hono/zod-openapi";
import { release } from "#core/bytes.ts";
import type { Clock } from "#core/world.ts";
import {
  FetchQuestion,
  LackingAnswer,
  MissingAnswer,
  MissingQuestion,
  RoomAnswer,
  StoredAnswer,
} from "#protocol/chunks.ts";
import { frameHead, FRAMES_MEDIA_TYPE, readFrames, type ChunkFrame } from "#protocol/frames.ts";
import { SpaceId } from "#protocol/ids.ts";
import { MAX_BATCH_BYTES, MAX_CHUNK_IDS, MAX_JSON_BYTES } from "#protocol/limits.ts";
import { ROUTES } from "#protocol/routes.ts";
import { LEASE_MS, type Intake } from "../intake.ts";
import type { ChunkIndex, JournalStore, ScrubIndex } from "../metadata/port.ts";
import { ProblemError } from "../problem-error.ts";
import type { Quotas } from "../quotas.ts";
import { readBody } from "./body.ts";
import { BODY_PROBLEMS, ownSpace, WITH_TOKEN, type Env, type Gates } from "./gates.ts";
import { problems } from "./problem.ts";
import { streamOf } from "./stream.ts";

export type ChunkParts = {
  readonly journals: JournalStore;
  readonly chunks: ChunkIndex;
  readonly scrub: ScrubIndex;
  readonly intake: Intake;
  readonly quotas: Quotas;
  readonly clock: Clock;
};

const params = z.object({ space: SpaceId });
const frames = { [FRAMES_MEDIA_TYPE]: { schema: z.string().openapi({ format: "binary" }) } };

const missingRoute = createRoute({
  method: "post",
  path: ROUTES.chunksMissing,
  summary: "Which of these chunks the space lacks; renews the lease of the others",
  security: WITH_TOKEN,
  request: {
    params,
    body: { required: true, content: { "application/json": { schema: MissingQuestion } } },
  },
  responses: {
    200: {
      description: "Those to send",
      content: { "application/json": { schema: MissingAnswer } },
    },
    ...problems(...BODY_PROBLEMS, "no-token", "bad-token", "not-found"),
  },
});

const roomRoute = createRoute({
  method: "get",
  path: ROUTES.chunksRoom,
  summary: "How many bytes of chunks the account may still send",
  security: WITH_TOKEN,
  request: { params },
  responses: {
    200: { description: "That many", content: { "application/json": { schema: RoomAnswer } } },
    ...problems("bad-request", "no-token", "bad-token", "not-found"),
  },
});

const lackingRoute = createRoute({
  method: "get",
  path: ROUTES.chunksLacking,
  summary: "Chunks of the space whose copy at the server is damaged: send them again",
  security: WITH_TOKEN,
  request: { params },
  responses: {
    200: {
      description: "By id, perhaps not all",
      content: { "application/json": { schema: LackingAnswer } },
    },
    ...problems("bad-request", "no-token", "bad-token", "not-found"),
  },
});

const storeRoute = createRoute({
  method: "post",
  path: ROUTES.chunks,
  summary: "Send a framed batch of chunks: durable, all of it, when this answers",
  security: WITH_TOKEN,
  request: { params, body: { required: true, content: frames } },
  responses: {
    200: { description: "Stored", content: { "application/json": { schema: StoredAnswer } } },
    ...problems(...BODY_PROBLEMS, "no-token", "bad-token", "not-found"),
    ...problems("hash-mismatch", "over-quota"),
  },
});

const fetchRoute = createRoute({
  method: "post",
  path: ROUTES.chunksFetch,
  summary: "Read chunks as a framed batch, in the order asked, perhaps fewer than asked",
  security: WITH_TOKEN,
  request: {
    params,
    body: { required: true, content: { "application/json": { schema: FetchQuestion } } },
  },
  responses: {
    200: { description: "The frames", content: frames },
    ...problems(...BODY_PROBLEMS, "no-token", "bad-token", "not-found", "chunk-damaged"),
  },
});

/** Pieces off a socket that are of no use any more when the next one is asked for. */
async function* lent(
  pieces: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const piece of pieces) {
    yield piece;
    release(piece);
  }
}

/** Frames of small chunks go on together: a piece costs the socket the same however small it is. */
const PIECE_BYTES = 64 * 1024;

/** What came before a chunk that cannot be read is of use. */
async function* written(
  chunks: AsyncIterable<ChunkFrame>,
): AsyncGenerator<Uint8Array, void, undefined> {
  let piece = new Uint8Array(PIECE_BYTES);
  let filled = 0;
  const rest = (): Uint8Array => {
    const bytes = piece.subarray(0, filled);
    piece = new Uint8Array(PIECE_BYTES);
    filled = 0;
    return bytes;
  };
  try {
    for await (const { id, bytes } of chunks) {
      const head = frameHead(id, bytes.length);
      if (filled + head.length + bytes.length > PIECE_BYTES && filled > 0) yield rest();
      if (head.length + bytes.length > PIECE_BYTES) {
        yield head;
        yield bytes;
        continue;
      }
      piece.set(head, filled);
      piece.set(bytes, filled + head.length);
      filled += head.length + bytes.length;
    }
  } catch (error) {
    if (filled > 0) yield rest();
    throw error;
  }
  if (filled > 0) yield rest();
}

export function mountChunks(app: OpenAPIHono<Env>, parts: ChunkParts, gates: Gates): void {
  const { journals, chunks, scrub, intake, quotas, clock } = parts;
  const withJson = [gates.session, gates.json(MAX_JSON_BYTES)];

  app.openapi({ ...missingRoute, middleware: [gates.coded, ...withJson] }, async (context) => {
    const { space: id } = context.req.valid("param");
    const space = await ownSpace(journals, context.get("session"), id);
    const asked = [...new Set(context.req.valid("json").chunks)];
    // Whoever asks again, because a connection broke, is not to send again what came over it.
    await intake.salvaged(space.id);
    // Renewed before the look: what is there then stays for a lease.
    await chunks.renew(space.id, asked, clock.nowMs() + LEASE_MS);
    const held = new Set((await chunks.held(space.id, asked)).map((place) => place.id));
    return context.json({ missing: asked.filter((chunk) => !held.has(chunk)) }, 200);
  });

  app.openapi({ ...roomRoute, middleware: [gates.session] }, async (context) => {
    const { space: id } = context.req.valid("param");
    const space = await ownSpace(journals, context.get("session"), id);
    return context.json({ roomBytes: await quotas.room(space.account) }, 200);
  });

  app.openapi({ ...lackingRoute, middleware: [gates.session] }, async (context) => {
    const { space: id } = context.req.valid("param");
    const space = await ownSpace(journals, context.get("session"), id);
    const lacking = await scrub.quarantined(space.id, MAX_CHUNK_IDS);
    return context.json({ lacking }, 200);
  });

  app.openapi({ ...storeRoute, middleware: [gates.session] }, async (context) => {
    const { space: id } = context.req.valid("param");
    const space = await ownSpace(journals, context.get("session"), id);
    if (context.req.header("content-type") !== FRAMES_MEDIA_TYPE) {
      throw new ProblemError(
        "unsupported-media-type",
        `A batch of chunks is sent as ${FRAMES_MEDIA_TYPE}; set that Content-Type.`,
      );
    }
    const body = readBody(context, clock, MAX_BATCH_BYTES);
    // Where the app is called without a socket the sender may look at its bytes again.
    const pieces = context.env?.incoming === undefined ? body : lent(body);
    const frames = quotas.within(space.account, readFrames(pieces));
    const stored = await intake.store(space.id, frames, clock.nowMs());
    return context.json({ stored }, 200);
  });

  app.openapi({ ...fetchRoute, middleware: withJson }, async (context) => {
    const { space: id } = context.req.valid("param");
    const space = await ownSpace(journals, context.get("session"), id);
    const found = await intake.fetch(space.id, context.req.valid("json").chunks);
    return new Response(
      streamOf(() => written(found)),
      { headers: { "content-type": FRAMES_MEDIA_TYPE } },
    );
  });
}
