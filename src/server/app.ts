import { OpenAPIHono } from "@hono/zod-openapi";
import type { Chance, Clock, Digest, Log } from "#core/world.ts";
import { release } from "#core/bytes.ts";
import { messageOf } from "#core/errors.ts";
import type { SpaceId } from "#core/ids.ts";
import { LOGIN_WINDOW_MS, MAX_WRONG_PASSWORDS } from "./accounts.ts";
import { Announcer } from "./announcer.ts";
import { countAttempts } from "./attempts.ts";
import { NO_EVALUATIONS, type Evaluations } from "./evaluations.ts";
import type { PackStore } from "./chunks/port.ts";
import { auditRequests } from "./http/audit.ts";
import { mountAccounts } from "./http/accounts.ts";
import { mountChunks } from "./http/chunks.ts";
import { mountCommits } from "./http/commits.ts";
import { mountDocument } from "./http/document.ts";
import { mountEvaluations } from "./http/evaluations.ts";
import { mountFeed } from "./http/feed.ts";
import { mountFiles } from "./http/files.ts";
import { buildGates, type Env } from "./http/gates.ts";
import { problemOf, refuseInvalid, writeProblem } from "./http/problem.ts";
import { mountJoins } from "./http/joins.ts";
import { logRequests } from "./http/request-log.ts";
import { mountRevisions } from "./http/revisions.ts";
import { mountServer } from "./http/server.ts";
import { mountSpaces } from "./http/spaces.ts";
import { mountVaults } from "./http/vaults.ts";
import { Intake } from "./intake.ts";
import { JOIN_LIFE_MS, MAX_WRONG_JOINS } from "./join.ts";
import { Journal } from "./journal.ts";
import type { Metadata } from "./metadata/port.ts";
import type { Metrics } from "./metrics.ts";
import type { Opaque } from "./opaque.ts";
import { ProblemError } from "./problem-error.ts";
import type { Secrets } from "./secrets.ts";
import { Quotas } from "./quotas.ts";
import { Rates } from "./rates.ts";
import { Sessions } from "./tokens.ts";

/** What an operator is told when somebody met a damaged chunk. */
const DAMAGED = "Stored chunks are damaged or gone: run lockstep scrub, and look after the disk.";

/** Long enough for the requests that come next not to be slower for it. */
const REMOVE_AFTER_MS = 2_000;

/** The world that a server lives in: all of it comes in here. */
export type AppWorld = {
  readonly metadata: Metadata;
  readonly packs: PackStore;
  readonly clock: Clock;
  readonly chance: Chance;
  readonly digest: Digest;
  readonly log: Log;
  /** Where it is written who was let in and what may be done since; with the rest unless given. */
  readonly audit?: Log;
  /** What an account may have stored, and how often it may ask; without limit unless given. */
  readonly quotaBytes?: number | null;
  readonly requestsPerSecond?: number | null;
  /** What GET /v1/server says. */
  readonly version?: string;
  readonly opaque: Opaque;
  /** The key service; nobody is helped to seal without one. */
  readonly evaluations?: Evaluations;
  readonly secrets: Secrets;
  /** What the server counts of itself; nobody may ask without. */
  readonly metrics?: Metrics | undefined;
  /** Aborts when the server closes: long polls and event streams end. */
  readonly closing?: AbortSignal;
};

export type App = OpenAPIHono<Env>;

function withErrors(app: App, log: Log): void {
  app.onError((error, context) => {
    const problem = problemOf(error);
    if (problem.code === "internal" || problem.code === "unavailable") {
      const id = context.get("requestId");
      log.error("request-failed", { id, message: messageOf(error), stack: stackOf(error) });
    }
    return writeProblem(problem);
  });
  app.notFound((context) =>
    writeProblem(
      new ProblemError(
        "not-found",
        `This server has no call ${context.req.method} of that path; see /openapi.json for all.`,
      ),
    ),
  );
}

/** For the log alone: no stack goes on the wire. */
function stackOf(error: unknown): string | undefined {
  return error instanceof Error ? error.stack : undefined;
}

/** A percent sign that begins no UTF-8 byte has no meaning: better refused than guessed. */
function refuseBadEscapes(app: App): void {
  app.use(async (context, next) => {
    try {
      decodeURIComponent(new URL(context.req.url).pathname);
    } catch {
      throw new ProblemError(
        "bad-request",
        "The address holds a percent sign that begins no UTF-8 byte; write a percent sign as %25.",
      );
    }
    await next();
  });
}

/**
 * The whole server as a function of requests. It holds no timer but through the clock and touches
 * no global: `app.request(...)` is how tests and simulations talk to it.
 */
export function buildApp(world: AppWorld): App {
  const { metadata, packs, clock, chance, digest, log, version = "0.0.0" } = world;
  const { opaque, secrets, metrics } = world;
  const { accounts, journals, chunks, scrub, shared } = metadata;
  const sessions = new Sessions(accounts, clock);
  const announcer = new Announcer(clock);
  shared?.listen((news) => {
    if (news === "missed") announcer.announceAll();
    else announcer.announce(news.space, news.sequence);
  });
  const { quotaBytes = null, requestsPerSecond = null, audit = log } = world;
  const quotas = new Quotas({ chunks, clock, limitBytes: quotaBytes });
  const journal = new Journal({ metadata, digest, announcer, quotas });
  const { evaluations = NO_EVALUATIONS } = world;
  const onAccepted = async (space: SpaceId, bytes: number): Promise<void> => {
    const row = await journals.space(space);
    if (row !== undefined) await evaluations.credit(row.account, bytes);
  };
  const [wrongLogins, wrongJoins] = [
    { most: MAX_WRONG_PASSWORDS, windowMs: LOGIN_WINDOW_MS },
    { most: MAX_WRONG_JOINS, windowMs: JOIN_LIFE_MS },
  ];
  const logins = countAttempts("login", wrongLogins, { clock, shared });
  const joins = countAttempts("join", wrongJoins, { clock, shared });
  const closing = world.closing ?? new AbortController().signal;
  const beforeRemoving = (): Promise<void> =>
    clock.sleep(REMOVE_AFTER_MS, closing).catch(() => undefined);
  const intake = new Intake({
    packs,
    chunks,
    scrub,
    digest,
    chance,
    onAccepted,
    onDamaged: (ids) => log.error("chunks-damaged", { chunks: ids.length, message: DAMAGED }),
    beforeRemoving,
    release,
  });
  const gates = buildGates(sessions, new Rates(clock, requestsPerSecond), clock);

  const app: App = new OpenAPIHono<Env>({ defaultHook: refuseInvalid });
  app.use(logRequests(world));
  app.use(auditRequests(audit));
  withErrors(app, log);
  refuseBadEscapes(app);
  metrics?.watch("lockstep_waiting", "Long polls and event streams", () => announcer.waiting);
  mountServer(app, { version, evaluations, journals, metrics, closing });
  mountEvaluations(app, { evaluations, clock }, gates);
  const accountParts = { accounts, clock, chance, opaque, secrets, logins };
  mountAccounts(app, accountParts, gates);
  const joinAnnouncer = new Announcer<string>(clock);
  mountJoins(app, { accounts, clock, chance, joins, joinAnnouncer, closing }, gates);
  mountVaults(app, accountParts, gates);
  mountSpaces(app, { journals, clock, chance }, gates);
  mountCommits(app, { journals, journal, clock }, gates);
  mountFeed(app, { journals, journal, announcer, clock, sessions, closing }, gates);
  mountChunks(app, { journals, chunks, scrub, intake, quotas, clock }, gates);
  mountFiles(app, { journals, chunks, journal, intake, quotas, clock, chance, digest }, gates);
  mountRevisions(app, metadata, gates);
  mountDocument(app, version);
  return app;
}
