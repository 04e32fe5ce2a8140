import { mkdir } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import { WorldError } from "#core/errors.ts";
import { buildApp, type App } from "./app.ts";
import { ClosedPacks } from "./chunks/closed-packs.ts";
import { collectNowAndThen } from "./collecting.ts";
import type { ServerConfig } from "./config.ts";
import { nodeDigest } from "./digest.ts";
import { SocketEvaluations } from "./evaluations.ts";
import { KeyServiceChild } from "./key-service-child.ts";
import { lockFolder } from "./lock.ts";
import { openMasterKey } from "./master-key.ts";
import type { Metrics } from "./metrics.ts";
import { Opaque } from "./opaque.ts";
import { openLog, realChance, realClock } from "./real-world.ts";
import { Secrets } from "./secrets.ts";
import { claimChunks, openMetadata, openPacks } from "./stores.ts";

/** Headers that take longer belong to nobody who means well. */
const HEADERS_TIMEOUT_MS = 15_000;
/** Above what proxies and long polls idle, so that it is never us who hang up in between. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000;
/** A socket that moves no byte this long is gone; a long poll and its keep-alive are shorter. */
const SOCKET_IDLE_MS = 120_000;
/** The longest a body may take: MAX_BATCH_BYTES at the slowest rate that `http/body.ts` allows. */
const REQUEST_TIMEOUT_MS = 150 * 60_000;
/** A path of 4,096 bytes is three times that in percent-encoding. */
const MAX_HEADER_BYTES = 32 * 1024;
/** How often Node looks for connections that are over their time. */
const CHECK_EVERY_MS = 5_000;
/** Requests that are under way may take this long when the server closes. */
const DRAIN_MS = 10_000;
const DRAIN_LOOK_MS = 20;

export type RunningServer = {
  readonly address: { readonly host: string; readonly port: number; readonly url: string };
  /** Ends long polls, finishes requests that are under way, closes the stores. */
  close(): Promise<void>;
};

function listen(server: Server, { host, port }: ServerConfig): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => {
      const detail = `Cannot listen on ${host} port ${port}; free it or choose another one.`;
      reject(new WorldError("cannot-listen", detail, { cause }));
    });
    server.listen(port, host, () => {
      const address = server.address();
      if (address === null || typeof address === "string") reject(new Error("no TCP address"));
      else resolve(address);
    });
  });
}

function makeServer(app: App): Server {
  const server = createAdaptorServer({
    fetch: app.fetch,
    createServer,
    // The process may hold an engine too: its Request and Response stay Node's own.
    overrideGlobalObjects: false,
    serverOptions: {
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
      connectionsCheckingInterval: CHECK_EVERY_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
      noDelay: true,
    },
  }) as Server;
  server.setTimeout(SOCKET_IDLE_MS);
  return server;
}

async function drain(server: Server): Promise<void> {
  let closed = false;
  const end = new Promise<void>((resolve) => {
    server.close(() => {
      closed = true;
      resolve();
    });
  });
  const deadlineMs = realClock.monotonicMs() + DRAIN_MS;
  while (!closed && realClock.monotonicMs() < deadlineMs) {
    // A kept-alive connection is idle only after its answer; so look again and again.
    server.closeIdleConnections();
    await Promise.race([end, realClock.sleep(DRAIN_LOOK_MS)]);
  }
  server.closeAllConnections();
  await end;
}

/** The host as it stands in a URL: an IPv6 address in brackets. */
function urlOf(host: string, port: number): string {
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** Loaded only where somebody asks. */
async function openMetrics(token: string): Promise<Metrics> {
  const { Metrics } = await import("./metrics.ts");
  const metrics = new Metrics(token);
  metrics.watchProcess();
  return metrics;
}

/**
 * Opens the data folder and answers requests until `close`. Throws WorldError: `folder-in-use`,
 * `cannot-listen` and those of the stores.
 */
export async function startServer(config: ServerConfig, version: string): Promise<RunningServer> {
  await mkdir(config.data, { recursive: true, mode: 0o700 });
  await using stores = new AsyncDisposableStack();
  const log = openLog(config.logLevel, config.logFile);
  stores.defer(() => log.flush());
  const audit = config.auditFile === undefined ? log : openLog("info", config.auditFile);
  stores.defer(() => audit.flush());
  stores.use(lockFolder(config.data));
  const world = { clock: realClock, chance: realChance, log };
  const metadata = stores.use(await openMetadata(config.database, world));
  const store = stores.use(await openPacks(config.chunks, world));
  const { journals } = metadata;
  stores.use(await claimChunks(config, { journals, packs: store, chance: realChance }));
  const hasPacks = !(await store.list()[Symbol.asyncIterator]().next()).done;
  const isInUse = hasPacks || (await journals.drawn("opaque setup")) !== undefined;
  const masterKey = await openMasterKey(config.keyFile, { chance: realChance, isInUse });
  const secrets = new Secrets(masterKey, realChance);
  const opaque = await Opaque.open(journals, secrets);
  const keyService =
    config.keyServiceFile === null
      ? null
      : stores.use(
          await KeyServiceChild.start({ keyFile: config.keyServiceFile, clock: realClock, log }),
        );
  const metrics = config.metricsToken === null ? undefined : await openMetrics(config.metricsToken);
  const closing = new AbortController();
  const packs = new ClosedPacks(store, masterKey);
  const app = buildApp({
    metadata,
    opaque,
    secrets,
    metrics,
    ...(keyService === null ? {} : { evaluations: new SocketEvaluations(keyService.socketPath) }),
    packs,
    clock: realClock,
    chance: realChance,
    digest: nodeDigest,
    log,
    audit,
    quotaBytes: config.quotaBytes,
    requestsPerSecond: config.requestsPerSecond,
    version,
    closing: closing.signal,
  });
  const server = makeServer(app);
  const { port } = await listen(server, config);
  log.info("listening", { host: config.host, port });
  const collected = { endedSeconds: 0, freedBytes: 0 };
  const parts = { metadata, packs, config, clock: realClock, log };
  const collecting = collectNowAndThen(parts, collected, closing.signal);
  metrics?.watchCollecting(collected);
  const open = stores.move();
  let closed: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    closing.abort();
    await drain(server);
    await collecting;
    log.info("closed");
    await open.disposeAsync();
  };
  const address = { host: config.host, port, url: urlOf(config.host, port) };
  return { address, close: () => (closed ??= close()) };
}
