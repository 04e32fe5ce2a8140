import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { connect, type Socket } from "node:net";
import { suite, test } from "node:test";
import { zstdCompressSync } from "node:zlib";
import { FRAMES_MEDIA_TYPE } from "#protocol/frames.ts";
import { arrives, untilStatus } from "./trees.ts";
import { until, World, type Device, type Server } from "./world.ts";

const MIB = 1024 * 1024;
const SLOW_CLIENTS = 1_000;
const EDITS = 5;

/** How long an edit takes from one device to another, in the middle of several. */
async function medianEditMs(from: Device, to: Device, name: string): Promise<number> {
  const timesMs: number[] = [];
  for (let count = 0; count < EDITS; count++) {
    const beganMs = performance.now();
    from.write(name, `${count}`);
    await arrives(to, name, `${count}`);
    timesMs.push(performance.now() - beganMs);
  }
  return timesMs.toSorted((a, b) => a - b)[Math.floor(EDITS / 2)] ?? 0;
}

/** A request that says how long it is, sends its beginning, and stays. */
function half(server: Server, text: string): Promise<Socket> {
  const { hostname, port } = new URL(server.url);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port) }, () => {
      socket.write(text);
      resolve(socket);
    });
    socket.once("error", reject);
    // The server may hang up on us whenever it has had enough.
    socket.on("error", () => {});
  });
}

function post(path: string, token: string, type: string, lengthBytes: number): string {
  return (
    `POST ${path} HTTP/1.1\r\nHost: lockstep\r\nAuthorization: Bearer ${token}\r\n` +
    `Content-Type: ${type}\r\nContent-Length: ${lengthBytes}\r\n\r\n`
  );
}

suite("what a server bears", () => {
  test("LM2: of files that an account has no room for each is told, and the others go on", async () => {
    await using world = await World.open();
    const env = { LOCKSTEP_QUOTA: "1MiB" };
    const server = await world.server({ env });
    const [a, b] = [world.device("A"), world.device("B")];
    await a.ok("account", "create", "--server", server.url, "--account", "alice");
    for (const device of [a, b]) await device.link(server, "alice");
    for (const device of [a, b]) device.start("sync", device.dir);
    fs.writeFileSync(a.at("huge.bin"), randomBytes(20 * MIB));
    fs.writeFileSync(a.at("large.bin"), randomBytes(6 * MIB));
    fs.writeFileSync(a.at("small.bin"), randomBytes(0.85 * MIB));
    a.write("note.txt", "for all");
    await arrives(b, "note.txt", "for all");
    await until(() => fs.existsSync(b.at("small.bin")), "small.bin is at B");
    await untilStatus(a, "tells of what has no room", ({ problems }) => {
      const told = problems.filter(({ code }) => code === "over-quota").map(({ path }) => path);
      return told.toSorted().join() === "huge.bin,large.bin";
    });
    assert.ok(!fs.existsSync(b.at("huge.bin")) && !fs.existsSync(b.at("large.bin")));
    a.write("later.txt", "for all, too");
    await arrives(b, "later.txt", "for all, too");
    // These lie in the commits themselves, and there is room for some.
    const few = Array.from({ length: 80 }, (_, at) => `few ${at}`);
    for (const name of few) fs.writeFileSync(a.at(name), randomBytes(3_000));
    const isThere = (name: string): boolean => fs.existsSync(b.at(name));
    await untilStatus(a, "tells of some of the few", ({ problems }) => {
      const told = problems.filter(({ code }) => code === "over-quota").length - 2;
      return told > 0 && told === few.filter((name) => !isThere(name)).length;
    });
    assert.ok(few.some(isThere), "some of the few are there");
    // Whoever makes room has them all.
    await server.process.stop();
    await world.server({ data: server.data, port: Number(new URL(server.url).port) });
    await a.settle();
    await b.settle();
    for (const name of ["huge.bin", "large.bin", ...few]) {
      assert.ok(fs.readFileSync(a.at(name)).equals(fs.readFileSync(b.at(name))), name);
    }
  });

  test("WI23: while a thousand clients stop halfway and others send nonsense, an edit arrives as ever [WI5, WI11]", async (context) => {
    await using world = await World.open();
    const { server, devices } = await world.plainSynced("A", "B");
    const [a, b] = devices;
    assert.ok(a !== undefined && b !== undefined);
    const quietMs = await medianEditMs(a, b, "quiet.txt");
    const made = await a.ok("token", "create", "--server", server.url, "--account", "alice");
    const [token = ""] = /ls_pat_[\w-]+/.exec(made) ?? [];
    const headers = { authorization: `Bearer ${token}` };
    const spaces = (await (await fetch(`${server.url}/v1/spaces`, { headers })).json()) as {
      spaces: { space: string }[];
    };
    const chunks = `/v1/spaces/${spaces.spaces[0]?.space}/chunks`;
    const frames = FRAMES_MEDIA_TYPE;
    const slow: Socket[] = [];
    for (let count = 0; count < SLOW_CLIENTS; count++) {
      const begun = post(chunks, token, frames, MIB);
      slow.push(await half(server, count % 3 === 0 ? begun.slice(0, -10) : `${begun}x`));
    }
    const send = async (body: Uint8Array<ArrayBuffer>, more = {}): Promise<number> => {
      const init = {
        method: "POST",
        headers: { ...headers, "content-type": frames, ...more },
        body,
      };
      return (await fetch(`${server.url}${chunks}`, init)).status;
    };
    const over = new AbortController();
    const statuses = new Set<number>();
    const nonsense = async (): Promise<void> => {
      const bomb = zstdCompressSync(new Uint8Array(64 * MIB));
      while (!over.signal.aborted) {
        statuses.add(await send(new Uint8Array(randomBytes(4 * 1024))));
        statuses.add(await send(new Uint8Array(36 + 100).fill(255)));
        statuses.add(await send(new Uint8Array(bomb), { "content-encoding": "zstd" }));
        const cut = await half(server, `${post(chunks, token, frames, MIB)}${"y".repeat(5_000)}`);
        cut.destroy();
        const huge = await half(server, post(chunks, token, frames, 2 ** 40));
        huge.destroy();
      }
    };
    const sending = nonsense();
    const busyMs = await medianEditMs(a, b, "busy.txt");
    over.abort();
    await sending;
    for (const socket of slow) socket.destroy();
    const text = `an edit took ${quietMs.toFixed(0)} ms, and ${busyMs.toFixed(0)} ms meanwhile`;
    context.diagnostic(text);
    assert.ok(
      [...statuses].every((status) => status >= 400 && status < 500),
      [...statuses].join(),
    );
    assert.ok(busyMs < Math.max(1_000, 5 * quietMs), text);
    assert.ok(!server.process.hasEnded);
  });
});
