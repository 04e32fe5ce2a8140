import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { concat, toHex } from "#core/bytes.ts";
import { WorldError } from "#core/errors.ts";
import { accountId, chunkId, spaceId } from "#core/ids.ts";
import type { ChunkId } from "#core/ids.ts";
import { frameHead, FRAMES_MEDIA_TYPE } from "#protocol/frames.ts";
import { PROBLEM_MEDIA_TYPE } from "#protocol/problem.ts";
import { StandingClock } from "../../test/contracts/clock.ts";
import { HttpAccount } from "./account-http.ts";
import { systemChance } from "./chance.ts";
import { systemDigest } from "./digest.ts";
import { HttpRemote } from "./remote-http.ts";

/** Pauses between two tries are over at once, and written down; deadlines stand still. */
class ImpatientClock extends StandingClock {
  readonly pausesMs: number[] = [];

  override async sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    // Only a deadline has a signal here: it ends with the work that it watches.
    if (signal !== undefined) return super.sleep(delayMs, signal);
    this.pausesMs.push(delayMs);
  }
}

function clientOf(url: string) {
  const clock = new ImpatientClock();
  const world = { clock, chance: systemChance, digest: systemDigest, url };
  const remote = new HttpRemote({ ...world, space: spaceId("5".repeat(32)) });
  return { clock, remote, account: new HttpAccount(world) };
}

type Answer = (request: IncomingMessage, response: ServerResponse) => unknown;

/** Something on the network that answers as it likes, and a client that takes it for its server. */
async function openStranger(answer: Answer) {
  const requests: (() => void)[] = [];
  let asked = 0;
  const server = createServer((request, response) => {
    asked++;
    void answer(request, response);
    for (const resolve of requests.splice(0)) resolve();
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}/`;
  return {
    ...clientOf(url),
    url,
    /** Requests that came so far. */
    asked: () => asked,
    nextRequest: () => new Promise<void>((resolve) => requests.push(resolve)),
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => {
        server.close(resolve);
      });
      server.closeAllConnections();
      await closed;
    },
  };
}

async function rejectsWith(code: string, work: Promise<unknown>): Promise<WorldError> {
  const error = await work.then(
    () => assert.fail(`it went through, and had to fail with ${code}`),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof WorldError, `a WorldError, not ${String(error)}`);
  assert.equal(error.code, code, error.message);
  return error;
}

function idOf(bytes: Uint8Array): ChunkId {
  return chunkId(Buffer.from(systemDigest.sha256(bytes)).toString("hex"));
}

function frameOf(id: ChunkId, bytes: Uint8Array): Buffer {
  return Buffer.concat([frameHead(id, bytes.length), bytes]);
}

function say(status: number, type: string, body: string, headers: Record<string, string> = {}) {
  return (_: IncomingMessage, response: ServerResponse): void => {
    response.writeHead(status, { "content-type": type, ...headers }).end(body);
  };
}

const problem = (code: string, status: number) =>
  JSON.stringify({ type: "about:blank", title: code, status, detail: `It is ${code}.`, code });

test("HC5: a page, a redirect and a half answer are never an empty list", async () => {
  const answers: Answer[] = [
    say(200, "text/html", "<html>Welcome to our hotel</html>"),
    say(200, "text/html", '{"entries":[],"cursor":"x","head":0,"missing":[]}'),
    say(302, "text/html", "", { location: "https://hotel.example/" }),
    say(200, "application/json", '{"entries":[],"cursor"'),
    say(200, "application/json", "{}"),
    say(204, "application/json", ""),
    say(404, "text/plain", "no such page"),
    say(200, FRAMES_MEDIA_TYPE, ""),
  ];
  for (const answer of answers) {
    await using server = await openStranger(answer);
    const id = chunkId("a".repeat(64));
    await rejectsWith("bad-answer", server.remote.changes("start", 0));
    await rejectsWith("bad-answer", server.remote.missing([id]));
    await rejectsWith("bad-answer", server.remote.put([{ id, bytes: Uint8Array.of(1) }]));
    await rejectsWith("bad-answer", Array.fromAsync(server.remote.fetch([id])));
  }
});

test("HC5: an answer without end is not read to its end", async () => {
  await using server = await openStranger((_, response) => {
    response.writeHead(200, { "content-type": "application/json" });
    const more = (): void => {
      while (response.write(" ".repeat(1 << 20)));
      if (!response.destroyed) response.once("drain", more);
    };
    more();
  });
  await rejectsWith("bad-answer", server.remote.changes("start", 0));
});

test("HC5: a chunk that is damaged, of another id or uncalled for is not passed on", async () => {
  const bytes = new TextEncoder().encode("a chunk");
  const id = idOf(bytes);
  const damaged = bytes.map((byte, at) => (at === 0 ? byte ^ 1 : byte));
  const cases: [string, Buffer, number][] = [
    ["damaged-chunk", frameOf(id, damaged), 0],
    ["bad-answer", frameOf(chunkId("b".repeat(64)), bytes), 0],
    ["bad-answer", Buffer.concat([frameOf(id, bytes), frameOf(id, bytes)]), 1],
    ["bad-frames", frameOf(id, bytes).subarray(0, -1), 0],
  ];
  for (const [code, body, good] of cases) {
    await using server = await openStranger((_, response) => {
      response.writeHead(200, { "content-type": FRAMES_MEDIA_TYPE }).end(body);
    });
    const got: Uint8Array[] = [];
    const reading = (async () => {
      for await (const { bytes: one } of server.remote.fetch([id])) got.push(one);
    })();
    await rejectsWith(code, reading);
    assert.equal(got.length, good);
  }
});

test("HC6: what is safe to repeat is tried again, with growing pauses", async () => {
  let refusals = 2;
  await using server = await openStranger((request, response) => {
    if (refusals-- > 0)
      say(503, PROBLEM_MEDIA_TYPE, problem("unavailable", 503))(request, response);
    else say(200, "application/json", '{"missing":[]}')(request, response);
  });
  assert.deepEqual(await server.remote.missing([chunkId("a".repeat(64))]), []);
  assert.equal(server.asked(), 3);
  const [first = 0, second = 0, ...more] = server.clock.pausesMs;
  assert.ok(first >= 100 && first <= 200 && second >= 200 && second <= 400);
  assert.deepEqual(more, []);
});

test("HC6: an error that lasts is the caller's after a few tries, retryable as it is", async () => {
  const answers: [number, string, string, boolean, number][] = [
    [503, PROBLEM_MEDIA_TYPE, "unavailable", true, 4],
    [502, "text/html", "unavailable", true, 4],
    [429, PROBLEM_MEDIA_TYPE, "too-many-requests", true, 4],
    [507, PROBLEM_MEDIA_TYPE, "storage-full", false, 1],
    [401, PROBLEM_MEDIA_TYPE, "signed-out", false, 1],
    [410, PROBLEM_MEDIA_TYPE, "reset", false, 1],
    [413, PROBLEM_MEDIA_TYPE, "body-too-large", false, 1],
  ];
  for (const [status, type, code, retryable, tries] of answers) {
    await using server = await openStranger(say(status, type, problem(code, status)));
    const error = await rejectsWith(code, server.remote.changes("start", 0));
    assert.equal(error.retryable, retryable);
    assert.equal(server.asked(), tries, code);
  }
});

test("HC6: a batch of several frames is sent whole, and whole again where none of it arrived", async () => {
  const first = new Uint8Array(300_000).fill(1);
  const second = new Uint8Array(70_000).fill(2);
  const bytes = [first, second];
  const framed = bytes.map((one) => {
    const id = chunkId(toHex(systemDigest.sha256(one)));
    return { frame: { id, bytes: one }, wire: concat([frameHead(id, one.length), one]) };
  });
  const expected = concat(framed.map(({ wire }) => wire));
  const received: Uint8Array[] = [];
  const missing = framed.map(({ frame }) => frame.id);
  await using stranger = await openStranger((request, response) => {
    void Array.fromAsync(request as AsyncIterable<Uint8Array>).then((pieces) => {
      const isQuestion = request.url?.endsWith("/missing") ?? false;
      if (!isQuestion) received.push(concat(pieces));
      if (received.length === 1 && !isQuestion) return void response.writeHead(503).end();
      const answer = JSON.stringify(isQuestion ? { missing } : { stored: 2 });
      return void response.setHeader("content-type", "application/json").end(answer);
    });
  });
  await stranger.remote.put(framed.map(({ frame }) => frame));
  assert.deepEqual(received, [expected, expected]);
});

test("HC6: a server that asks to be left alone for long is not asked again", async () => {
  const headers = { "retry-after": "3600" };
  const body = problem("unavailable", 503);
  await using server = await openStranger(say(503, PROBLEM_MEDIA_TYPE, body, headers));
  await rejectsWith("unavailable", server.remote.changes("start", 0));
  assert.equal(server.asked(), 1);
});

test("HC6: making an account is not done twice by itself", async () => {
  await using server = await openStranger(say(503, "text/html", ""));
  const keys = { registrationRecord: "AA", bundle: "AA", keyring: "AA", recoveryKey: "0" };
  const wish = { account: "ada", accountId: accountId("0".repeat(32)), ...keys };
  await rejectsWith("unavailable", server.account.signUp(wish));
  assert.equal(server.asked(), 1);
});

test("HC7: nobody there, and a connection that breaks, are offline", async () => {
  const gone = await openStranger(say(200, "text/plain", ""));
  await gone[Symbol.asyncDispose]();
  const error = await rejectsWith("offline", gone.remote.changes("start", 0));
  assert.equal(error.retryable, true);
  assert.equal(gone.clock.pausesMs.length, 3);
  await using breaking = await openStranger((request) => request.socket.destroy());
  await rejectsWith("offline", breaking.remote.changes("start", 0));
  await using halfway = await openStranger((_, response) => {
    response.writeHead(200, { "content-type": "application/json", "content-length": "100" });
    response.write('{"entries":');
    response.destroy();
  });
  await rejectsWith("offline", halfway.remote.changes("start", 0));
});

/** Lets time pass, again and again, until `work` has ended. */
async function whileTimePasses<T>(clock: StandingClock, work: Promise<T>): Promise<T> {
  let ended = false;
  const end = () => (ended = true);
  work.then(end, end);
  while (!ended) {
    clock.advance(30_000);
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
  return work;
}

test("HC8: a feed that is silent for longer than it was asked to wait is given up", async () => {
  await using server = await openStranger(() => undefined);
  const first = server.nextRequest();
  let ended = false;
  const waiting = rejectsWith("offline", server.remote.changes("start", 20_000));
  void waiting.then(() => (ended = true));
  await first;
  const second = server.nextRequest();
  server.clock.advance(34_999);
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  assert.equal(server.asked(), 1);
  server.clock.advance(1);
  await second;
  assert.equal(ended, false);
  await whileTimePasses(server.clock, waiting);
  assert.equal(server.asked(), 4);
});

test("HC8: an upload that nobody takes is given up", async () => {
  await using server = await openStranger((request) => request.pause());
  const bytes = new Uint8Array(8 * 1024 * 1024);
  const frames = Array.from({ length: 3 }, (_, at) => ({ id: chunkId(`${at}`.repeat(64)), bytes }));
  const uploading = rejectsWith("offline", server.remote.put(frames));
  await whileTimePasses(server.clock, uploading);
});

test("CH4: an upload whose connection breaks goes on with what did not come whole", async () => {
  const frames = ["first", "second", "third"].map((text) => {
    const bytes = new TextEncoder().encode(text);
    return { id: idOf(bytes), bytes };
  });
  const [, second, third] = frames;
  assert.ok(second && third);
  const came: Buffer[] = [];
  await using server = await openStranger((request, response) => {
    if (request.url?.endsWith("/missing") === true) {
      const missing = JSON.stringify({ missing: [second.id, third.id] });
      say(200, "application/json", missing)(request, response);
      return;
    }
    const pieces: Buffer[] = [];
    request.on("data", (piece: Buffer) => pieces.push(piece));
    request.on("end", () => {
      came.push(Buffer.concat(pieces));
      if (came.length === 1) request.socket.resetAndDestroy();
      else say(200, "application/json", JSON.stringify({ stored: 2 }))(request, response);
    });
  });
  await server.remote.put(frames);
  const bodies = [frames, [second, third]].map((sent) =>
    Buffer.concat(sent.map(({ id, bytes }) => frameOf(id, bytes))),
  );
  assert.deepEqual(came, bodies);
});

test("HC8: whoever takes long to use what came is not taken for a silent server", async () => {
  const frames = ["first", "second"].map((text) => {
    const bytes = new TextEncoder().encode(text);
    return { id: idOf(bytes), bytes };
  });
  await using server = await openStranger((_, response) => {
    response.writeHead(200, { "content-type": FRAMES_MEDIA_TYPE });
    for (const { id, bytes } of frames) response.write(frameOf(id, bytes));
    response.end();
  });
  const got: string[] = [];
  for await (const { bytes } of server.remote.fetch(frames.map(({ id }) => id))) {
    got.push(new TextDecoder().decode(bytes));
    server.clock.advance(600_000);
  }
  assert.deepEqual(got, ["first", "second"]);
});

test("HC8: a download that breaks off keeps what came whole", async () => {
  const frames = ["first", "second"].map((text) => {
    const bytes = new TextEncoder().encode(text);
    return { id: idOf(bytes), bytes };
  });
  await using server = await openStranger((_, response) => {
    response.writeHead(200, { "content-type": FRAMES_MEDIA_TYPE });
    const whole = Buffer.concat(frames.map(({ id, bytes }) => frameOf(id, bytes)));
    response.write(whole.subarray(0, -2), () => response.destroy());
  });
  const got = await Array.fromAsync(server.remote.fetch(frames.map(({ id }) => id)));
  assert.deepEqual(
    got.map(({ id }) => id),
    [frames[0]?.id],
  );
});

test("HC6: a download that breaks off before its first chunk is asked for again, with pauses", async () => {
  const bytes = new TextEncoder().encode("a chunk");
  const id = idOf(bytes);
  const whole = frameOf(id, bytes);
  // The connection breaks, and a proxy ends the body as if that were all.
  const ends: ((response: ServerResponse) => void)[] = [
    (response) => response.write(whole.subarray(0, -1), () => response.destroy()),
    (response) => response.end(whole.subarray(0, 20)),
  ];
  for (const end of ends) {
    let broken = 3;
    await using server = await openStranger((_, response) => {
      response.writeHead(200, { "content-type": FRAMES_MEDIA_TYPE });
      if (broken-- > 0) end(response);
      else response.end(whole);
    });
    const got = await Array.fromAsync(server.remote.fetch([id]));
    assert.deepEqual(got, [{ id, bytes }]);
    assert.equal(server.clock.pausesMs.length, 3);
    broken = Number.POSITIVE_INFINITY;
    const asked = server.asked();
    await assert.rejects(Array.fromAsync(server.remote.fetch([id])), { retryable: true });
    assert.equal(server.asked() - asked, 4);
  }
});

const MANY = Array.from({ length: 100 }, (_, chunk) => idOf(new Uint8Array([chunk])));

test("HC10: a question goes coded once the server has said that it takes that", async () => {
  const came: { coding: string | undefined; length: number; json: unknown }[] = [];
  await using server = await openStranger(async (request, response) => {
    const bytes = Buffer.concat(await request.toArray());
    const coding = request.headers["content-encoding"];
    const text = coding === "zstd" ? zstdDecompressSync(bytes) : bytes;
    came.push({ coding, length: bytes.length, json: JSON.parse(text.toString()) });
    assert.equal(request.headers["accept-encoding"], "zstd");
    const answer = zstdCompressSync(JSON.stringify({ missing: MANY }));
    const headers = { "content-encoding": "zstd", "accept-encoding": "zstd" };
    response.writeHead(200, { "content-type": "application/json", ...headers }).end(answer);
  });
  for (const asked of [MANY, MANY, MANY.slice(0, 2)]) {
    await server.remote.missing(asked).catch(() => undefined);
    assert.deepEqual(came.at(-1)?.json, { chunks: asked });
  }
  assert.deepEqual(
    came.map(({ coding }) => coding),
    [undefined, "zstd", undefined],
    "a short one is not worth it",
  );
  assert.ok(came[1]!.length < 0.6 * came[0]!.length);
  assert.deepEqual(await server.remote.missing(MANY), MANY);
});

test("HC10: a server that cannot read a coded question any more is asked as before", async () => {
  for (const status of [400, 415]) {
    const codings: (string | undefined)[] = [];
    await using server = await openStranger((request, response) => {
      const coding = request.headers["content-encoding"];
      codings.push(coding);
      const told: Record<string, string> =
        codings.length === 1 ? { "accept-encoding": "zstd" } : {};
      if (coding === undefined) {
        say(200, "application/json", '{"missing":[]}', told)(request, response);
      } else say(status, PROBLEM_MEDIA_TYPE, problem("bad-request", status))(request, response);
    });
    for (let time = 0; time < 3; time++) assert.deepEqual(await server.remote.missing(MANY), []);
    assert.deepEqual(codings, [undefined, "zstd", undefined, undefined]);
  }
});

test("HC10: a coded answer that grows beyond what it may be is not read to its end", async () => {
  const huge = zstdCompressSync(Buffer.alloc(300 * 1024 * 1024, 32));
  await using server = await openStranger((_, response) => {
    const headers = { "content-type": "application/json", "content-encoding": "zstd" };
    response.writeHead(200, headers).end(huge);
  });
  const before = process.memoryUsage().rss;
  const error = await rejectsWith("bad-answer", server.remote.missing(MANY));
  assert.match(error.message, /larger than/);
  assert.ok(process.memoryUsage().rss - before < 250 * 1024 * 1024);
});
