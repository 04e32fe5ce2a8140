import { zstdDecompressSync } from "node:zlib";
import { codeOf } from "#core/errors.ts";
import type { ChunkId } from "#core/ids.ts";
import type { Clock } from "#core/world.ts";
import { BODY_CODING } from "#protocol/coding.ts";
import { CommitAnswer, Commit } from "#protocol/commit.ts";
import type { Feed } from "#protocol/feed.ts";
import type { ChunkFrame } from "#protocol/frames.ts";
import { HttpRemote } from "#platform/remote-http.ts";
import { nodeDigest } from "#server/digest.ts";
import type { Remote } from "#sync/ports.ts";
import { VirtualLine } from "./virtual-line.ts";
import { sumOf, type RemoteWorld } from "./virtual-remote.ts";
import { jsonOf, wireFault } from "./wire-oracle.ts";

/** Where the story's server says that it is. */
const ORIGIN = "http://server";

/** What a request is called in a story, by the end of its path. */
const CALLS: Readonly<Record<string, string>> = { commits: "commit", chunks: "put" };

type Answer = { readonly status: number; readonly headers: Headers; readonly bytes: Uint8Array };

/**
 * A device's real remote, with its codecs, retries and patience, over a line with faults to the
 * server's real HTTP layer.
 */
export class WireRemote implements Remote {
  readonly #world: RemoteWorld;
  readonly #line: VirtualLine;
  readonly #remote: HttpRemote;

  constructor(world: RemoteWorld, clock: Clock, token: string) {
    this.#world = world;
    this.#line = new VirtualLine(world);
    this.#remote = new HttpRemote({
      url: ORIGIN,
      token,
      clock,
      chance: world.draw,
      digest: nodeDigest,
      space: world.server.space,
      fetch: (url, init) => this.#fetch(new URL(url), init),
    });
  }

  changes(cursor: string, waitMs: number, signal?: AbortSignal): Promise<Feed> {
    return this.#remote.changes(cursor, waitMs, signal);
  }

  commit(commit: Commit, signal?: AbortSignal): Promise<CommitAnswer> {
    this.#world.onCommit(commit);
    return this.#remote.commit(commit, signal);
  }

  missing(chunks: readonly ChunkId[], signal?: AbortSignal): Promise<ChunkId[]> {
    return this.#remote.missing(chunks, signal);
  }

  lacking(signal?: AbortSignal): Promise<ChunkId[]> {
    return this.#remote.lacking(signal);
  }

  put(chunks: readonly ChunkFrame[], signal?: AbortSignal): Promise<void> {
    this.#world.traffic.sentBytes += sumOf(chunks);
    return this.#remote.put(chunks, signal);
  }

  async *fetch(chunks: readonly ChunkId[], signal?: AbortSignal): AsyncGenerator<ChunkFrame> {
    for await (const frame of this.#remote.fetch(chunks, signal)) {
      this.#world.traffic.fetchedBytes += frame.bytes.length;
      yield frame;
    }
  }

  async #fetch(url: URL, { signal, ...init }: RequestInit): Promise<Response> {
    const { faults, draw, server } = this.#world;
    const { pageEntries, cutShort, lostReply } = faults();
    const last = url.pathname.slice(url.pathname.lastIndexOf("/") + 1);
    const what = CALLS[last] ?? last;
    if (what === "changes") url.searchParams.set("limit", String(pageEntries));
    const request = async (): Promise<Answer> => {
      const before = { life: server.life, head: server.head, nowMs: server.nowMs };
      const answer = await readAll(await server.request(url.href, init));
      if (what === "commit") {
        this.#note(decoded(new Headers(init.headers), init.body as Uint8Array), answer.bytes);
      }
      if (server.life === before.life) this.#judge(what, answer, before);
      return answer;
    };
    const { life } = server;
    // The client's own patience ends it.
    const asking = this.#line.ask(what, null, request, signal ?? undefined);
    const { status, headers, bytes } = await asking.catch((error: unknown) => {
      // What is lost on the line is known to be lost: only the server can be silent.
      const isSilent = codeOf(signal?.reason) === "offline" && server.life === life;
      if (isSilent) this.#world.accuse(`the server does not answer ${what}`);
      throw error;
    });
    // Where no reply is lost, none breaks off either.
    const isCut = what === "fetch" && bytes.length > 1 && lostReply > 0;
    const isShort = isCut && draw.chance(cutShort);
    const body: Uint8Array | ReadableStream = isShort
      ? brokenOff(bytes.subarray(0, draw.between(1, bytes.length - 1)))
      : bytes;
    return new Response(body as Uint8Array<ArrayBuffer>, { status, headers });
  }

  #judge(
    what: string,
    { status, bytes }: Answer,
    before: { readonly head: string; readonly nowMs: number },
  ): void {
    const { server, accuse } = this.#world;
    const isGrown = server.head !== before.head;
    const times = { askedMs: before.nowMs, answeredMs: server.nowMs };
    const fault = wireFault({ what, status, bytes, isGrown, ...times });
    if (fault !== null) accuse(fault);
  }

  /** What landed is told at the moment in which it did. */
  #note(sent: Uint8Array, answered: Uint8Array): void {
    const answer = CommitAnswer.safeParse(jsonOf(answered));
    if (!answer.success || answer.data.outcome !== "committed") return;
    const { sequence, chain } = answer.data;
    const { past, server, device: author } = this.#world;
    const { changes } = Commit.parse(jsonOf(sent));
    past.append({ sequence, chain, author }, server.opened(changes));
  }
}

async function readAll(response: Response): Promise<Answer> {
  const { status, headers } = response;
  const bytes = decoded(headers, new Uint8Array(await response.arrayBuffer()));
  return { status, headers, bytes };
}

/** What Node's own fetch does with answers. */
function decoded(headers: Headers, bytes: Uint8Array): Uint8Array {
  return headers.get("content-encoding") === BODY_CODING ? zstdDecompressSync(bytes) : bytes;
}

/** A body whose connection breaks behind these bytes. */
function brokenOff(bytes: Uint8Array): ReadableStream<Uint8Array> {
  let isGiven = false;
  return new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        if (isGiven) controller.error(new Error("the connection broke"));
        else controller.enqueue(bytes);
        isGiven = true;
      },
    },
    { highWaterMark: 0 },
  );
}
