import { createRoute, z, type OpenAPIHono } from "@hono/zod-openapi";
import { utf8 } from "#core/bytes.ts";
import type { Clock } from "#core/world.ts";
import type { DeviceId } from "#core/ids.ts";
import { Cursor, Feed, type Entry } from "#protocol/feed.ts";
import { SpaceId } from "#protocol/ids.ts";
import { MAX_FEED_ENTRIES, MAX_FEED_WAIT_MS } from "#protocol/limits.ts";
import { ROUTES } from "#protocol/routes.ts";
import type { Announcer } from "../announcer.ts";
import { writeCursor } from "../cursor.ts";
import type { Journal } from "../journal.ts";
import type { JournalStore, SpaceRow } from "../metadata/port.ts";
import { ProblemError } from "../problem-error.ts";
import type { Session, Sessions } from "../tokens.ts";
import { ownSpace, queryInteger, WITH_TOKEN, type Env, type Gates } from "./gates.ts";
import { problems } from "./problem.ts";
import { streamOf } from "./stream.ts";

/** A comment this often keeps proxies from closing a quiet stream of events. */
const KEEP_ALIVE_MS = 25_000;

/** Entries that a stream of events reads at a time, and so what it holds in memory. */
const EVENTS_AT_ONCE = 50;

export type FeedParts = {
  readonly journals: JournalStore;
  readonly journal: Journal;
  readonly announcer: Announcer;
  readonly clock: Clock;
  readonly sessions: Sessions;
  /** Aborts when the server closes: those who wait are answered at once. */
  readonly closing: AbortSignal;
};

const changesRoute = createRoute({
  method: "get",
  path: ROUTES.changes,
  summary: "Journal entries behind a cursor; waits for one when there is none",
  security: WITH_TOKEN,
  request: {
    params: z.object({ space: SpaceId }),
    query: z.object({
      cursor: Cursor,
      waitMs: queryInteger(0, MAX_FEED_WAIT_MS).optional(),
      limit: queryInteger(1, MAX_FEED_ENTRIES).optional(),
      own: z.literal("brief").optional(),
    }),
  },
  responses: {
    200: {
      description:
        "The entries, oldest first, and the cursor behind them; with `own=brief` those that the " +
        "asking device made come without their changes",
      content: { "application/json": { schema: Feed } },
    },
    ...problems("bad-request", "no-token", "bad-token", "not-found", "reset"),
  },
});

const eventsRoute = createRoute({
  method: "get",
  path: ROUTES.events,
  summary: "The same entries as server-sent events, from a cursor on and without end",
  security: WITH_TOKEN,
  request: {
    params: z.object({ space: SpaceId }),
    headers: z.object({ "last-event-id": Cursor.optional() }),
    query: z.object({ cursor: Cursor.optional() }),
  },
  responses: {
    200: {
      description: "Events `entry`: the data is an Entry, the id the cursor behind it",
      content: { "text/event-stream": { schema: z.string() } },
    },
    ...problems("bad-request", "no-token", "bad-token", "not-found", "reset"),
  },
});

async function readFeed(
  journal: Journal,
  space: SpaceRow,
  cursor: string,
  limit: number,
): Promise<Feed> {
  const feed = await journal.feed(space, cursor, limit);
  if (feed !== "reset") return feed;
  throw new ProblemError(
    "reset",
    `The cursor ${cursor} is of no past of this space; begin again from the space's start cursor.`,
  );
}

/** What a device sent need not come back to it. */
function briefFor(device: DeviceId | null, feed: Feed): Feed {
  const isOwn = (entry: Entry): boolean => device !== null && entry.device === device;
  const entries = feed.entries.map((entry): Entry => {
    return isOwn(entry) ? { ...entry, changes: [], brief: true } : entry;
  });
  return { ...feed, entries };
}

/** True when something was appended, false when the time or the wait is over. */
async function waitFor(
  { announcer, closing }: FeedParts,
  space: SpaceRow,
  sequence: number,
  waitMs: number,
  signal: AbortSignal,
): Promise<boolean> {
  const ends = AbortSignal.any([signal, closing]);
  try {
    return await announcer.waitBeyond(space.id, sequence, waitMs, ends);
  } catch (error) {
    if (ends.aborted) return false;
    throw error;
  }
}

async function longPoll(
  parts: FeedParts,
  asked: { session: Session; space: SpaceRow; cursor: string; waitMs: number; limit: number },
  signal: AbortSignal,
): Promise<Feed> {
  const { session, space, cursor, waitMs, limit } = asked;
  const { clock, journal, sessions } = parts;
  const untilMs = clock.monotonicMs() + waitMs;
  for (;;) {
    const feed = await readFeed(journal, space, cursor, limit);
    const leftMs = untilMs - clock.monotonicMs();
    if (feed.entries.length > 0 || leftMs <= 0) return feed;
    const grown = await waitFor(parts, space, feed.head, leftMs, signal);
    // A device that was revoked while it waited hears nothing more.
    await sessions.check(session);
    // Who is woken because news were missed may find nothing new, and waits on.
    if (!grown) return feed;
  }
}

/**
 * Events from a cursor on. Reading and waiting use one sequence: whatever is appended between the
 * two was announced beyond it, so the wait ends at once and nothing falls into a gap.
 */
async function* events(
  parts: FeedParts,
  { session, space, cursor }: { session: Session; space: SpaceRow; cursor: string },
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  let at = cursor;
  while (!signal.aborted && !parts.closing.aborted) {
    const feed = await parts.journal.feed(space, at, EVENTS_AT_ONCE);
    if (feed === "reset") return;
    for (const entry of feed.entries) {
      const id = writeCursor(space, entry.sequence);
      yield utf8(`id: ${id}\nevent: entry\ndata: ${JSON.stringify(entry)}\n\n`);
    }
    at = feed.cursor;
    if (feed.entries.length > 0) continue;
    const grown = await waitFor(parts, space, feed.head, KEEP_ALIVE_MS, signal);
    if (signal.aborted || parts.closing.aborted) return;
    await parts.sessions.check(session);
    if (!grown) yield utf8(": keep-alive\n\n");
  }
}

export function mountFeed(app: OpenAPIHono<Env>, parts: FeedParts, gates: Gates): void {
  app.openapi({ ...changesRoute, middleware: [gates.coded, gates.session] }, async (context) => {
    const session = context.get("session");
    const { cursor, waitMs = 0, limit = MAX_FEED_ENTRIES, own } = context.req.valid("query");
    const space = await ownSpace(parts.journals, session, context.req.valid("param").space);
    const asked = { session, space, cursor, waitMs, limit };
    const feed = await longPoll(parts, asked, context.req.raw.signal);
    return context.json(own === "brief" ? briefFor(session.device, feed) : feed, 200);
  });

  app.openapi({ ...eventsRoute, middleware: [gates.session] }, async (context) => {
    const session = context.get("session");
    const space = await ownSpace(parts.journals, session, context.req.valid("param").space);
    // A browser that reconnects says where it was; that is later than where it began.
    const last = context.req.valid("header")["last-event-id"];
    const cursor = last ?? context.req.valid("query").cursor ?? writeCursor(space, 0);
    await readFeed(parts.journal, space, cursor, 1);
    const body = streamOf((signal) => events(parts, { session, space, cursor }, signal));
    return new Response(body, {
      headers: {
        "content-type": "text/event-stream",
        "cache-control": "no-store",
        // Asks buffering proxies (nginx) to pass each event on as it comes.
        "x-accel-buffering": "no",
      },
    });
  });
}
