import type { Agent, ClientRequest, IncomingMessage, request as requestType } from "node:http";
import { pipeline } from "node:stream";
import { createZstdDecompress } from "node:zlib";
import { concat } from "#core/bytes.ts";
import { BODY_CODING } from "#protocol/coding.ts";

/** A request on its way. */
export type Asked = {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The body; each piece is taken when the connection has room for it. */
  readonly pieces: Iterable<Uint8Array>;
  readonly lengthBytes: number;
  readonly signal: AbortSignal;
};

/** What of an answer is looked at. */
export type Answered = {
  readonly status: number;
  header(name: string): string | null;
  /** Decoded where it came coded. Who leaves it before its end ends the connection. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Lets go of a body that nobody reads. */
  leave(): void;
};

/** How a request becomes an answer; throws what the connection does. */
export type Line = (url: string, asked: Asked) => Promise<Answered>;

type Client = { readonly request: typeof requestType; readonly agent: Agent };

let plain: Client | null = null;
let secure: Client | null = null;

// An `import` of `node:http` reads all that it has, and so loads the web's fetch and WebSocket:
// 5 MB that a device at rest keeps.
function openPlain(): Client {
  const { Agent: Connections, request } = process.getBuiltinModule("node:http");
  return { request, agent: new Connections({ keepAlive: true }) };
}

/** Loaded for a server that has a certificate. */
function openSecure(): Client {
  const { Agent: Connections, request } = process.getBuiltinModule("node:https");
  return { request, agent: new Connections({ keepAlive: true }) };
}

/**
 * HTTP/1.1 by Node's own client, over connections that are used again. The web's `fetch` does the
 * same in streams that copy each piece, and takes megabytes as soon as it is first called.
 */
export const systemLine: Line = async (url, asked) => {
  const target = new URL(url);
  const isSecure = target.protocol === "https:";
  const client = isSecure ? (secure ??= openSecure()) : (plain ??= openPlain());
  const { method, signal, lengthBytes, pieces } = asked;
  const length = lengthBytes > 0 ? { "content-length": String(lengthBytes) } : {};
  const headers = { ...asked.headers, ...length };
  const { agent } = client;
  const request = client.request(target, { method, headers, agent, signal });
  const answer = Promise.withResolvers<IncomingMessage>();
  request.once("response", answer.resolve);
  // Also after the answer: what breaks then is met by whoever reads its body.
  request.on("error", answer.reject);
  void send(request, pieces);
  return answeredBy(await answer.promise);
};

/** Ends early, in silence, where the connection does: whoever waits for the answer hears of it. */
async function send(request: ClientRequest, pieces: Iterable<Uint8Array>): Promise<void> {
  for (const piece of pieces) {
    if (request.destroyed) return;
    if (!request.write(piece)) await roomIn(request);
  }
  request.end();
}

async function roomIn(request: ClientRequest): Promise<void> {
  const room = Promise.withResolvers<void>();
  const tell = (): void => room.resolve();
  for (const event of ["drain", "close"]) request.once(event, tell);
  if (request.destroyed) tell();
  await room.promise;
  for (const event of ["drain", "close"]) request.off(event, tell);
}

function answeredBy(response: IncomingMessage): Answered {
  // A body that breaks when nobody reads it is no fault.
  response.on("error", () => undefined);
  const isCoded = response.headers["content-encoding"] === BODY_CODING;
  const body = isCoded
    ? pipeline(response, createZstdDecompress(), () => undefined)
    : (response as AsyncIterable<Uint8Array>);
  return {
    status: response.statusCode ?? 0,
    header: (name) => {
      const value = response.headers[name];
      return typeof value === "string" ? value : (value?.join(", ") ?? null);
    },
    body,
    leave() {
      // Nothing is to come: the connection is of use.
      if (response.headers["content-length"] === "0" || response.statusCode === 204) {
        response.resume();
      } else response.destroy();
    },
  };
}

/** The web's way to ask, as a test or a simulation has a server in its hands. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** The same by somebody's `fetch`, which has decoded what came coded. */
export function lineOf(fetch: Fetch): Line {
  return async (url, { method, headers, signal, pieces, lengthBytes }) => {
    const body = lengthBytes > 0 ? { body: concat([...pieces]) as Uint8Array<ArrayBuffer> } : {};
    const response = await fetch(url, { method, headers, signal, redirect: "manual", ...body });
    return {
      status: response.status,
      header: (name) => response.headers.get(name),
      body: (response.body ?? []) as AsyncIterable<Uint8Array>,
      leave: () => void response.body?.cancel().catch(() => undefined),
    };
  };
}
