import assert from "node:assert/strict";
import { spawn, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs/promises";
import * as http from "node:http";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { test } from "node:test";
import { fromHex, utf8 } from "#core/bytes.ts";
import { Question } from "#crypto/oprf.ts";
import { systemPrimitives } from "#platform/primitives.ts";
import { openRistretto } from "#platform/ristretto.ts";
import { ACCOUNT_HEADER, EvaluationKeys } from "#protocol/evaluations.ts";
import { BLOCK, FREE_A_DAY } from "./budget.ts";
import { scratchFolder } from "../../test/contracts/scratch.ts";

const PROGRAM = join(import.meta.dirname, "main.ts");

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

function start(folder: string, ...more: readonly string[]): Child {
  const paths = ["--socket", join(folder, "socket"), "--key-file", join(folder, "key")];
  const args = ["--disable-warning=ExperimentalWarning", PROGRAM, ...paths, ...more];
  return spawn(process.execPath, args, { stdio: ["pipe", "pipe", "pipe"] });
}

async function ready(child: Child): Promise<void> {
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  assert.equal(line.toString(), "ready\n");
}

async function ended(child: Child): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  return child.exitCode;
}

async function answer(
  folder: string,
  path: string,
  body?: Uint8Array,
): Promise<{ readonly response: http.IncomingMessage; readonly bytes: Uint8Array }> {
  const request = http.request({
    socketPath: join(folder, "socket"),
    path,
    method: body === undefined ? "GET" : "POST",
    headers: { [ACCOUNT_HEADER]: "a1".repeat(16) },
    agent: false,
  });
  request.end(body);
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  const parts: Buffer[] = [];
  for await (const part of response) parts.push(part as Buffer);
  return { response, bytes: new Uint8Array(Buffer.concat(parts)) };
}

async function ask(folder: string, path: string, body?: Uint8Array): Promise<Uint8Array> {
  const { response, bytes } = await answer(folder, path, body);
  assert.equal(response.statusCode, 200);
  return bytes;
}

test("KS1, KS4: the process makes its key, answers at its socket, and answers alike when started again", async () => {
  await using folder = await scratchFolder();
  const world = { ...systemPrimitives, ristretto: await openRistretto() };
  const values: Uint8Array[] = [];
  for (const signal of ["SIGKILL", "SIGTERM"] as const) {
    const child = start(folder.path, "--make-key");
    await ready(child);
    assert.equal((await fs.stat(join(folder.path, "socket"))).mode & 0o077, 0);
    const text = Buffer.from(await ask(folder.path, "/keys")).toString();
    const { keys } = EvaluationKeys.parse(JSON.parse(text));
    const pinned = { epoch: keys[0]!.epoch, publicKey: fromHex(keys[0]!.publicKey) };
    const question = new Question(world, pinned, [utf8("a frame's hash")]);
    values.push(question.finish(await ask(folder.path, "/evaluations", question.request))[0]!);
    child.kill(signal);
    await ended(child);
  }
  assert.deepEqual(values[0], values[1]);
});

test("KS4: without its key file the process says so and makes no other key by itself", async () => {
  await using folder = await scratchFolder();
  const child = start(folder.path);
  const [line] = (await once(child.stderr, "data")) as [Buffer];
  assert.match(line.toString(), /key file .* cannot be read: put it back/);
  assert.equal(await ended(child), 1);
  assert.deepEqual(await fs.readdir(folder.path), []);
});

test("KS5: the process ends with the server that started it, and there is one at a socket", async () => {
  await using folder = await scratchFolder();
  const child = start(folder.path, "--make-key", "--with-parent");
  await ready(child);
  const second = start(folder.path, "--with-parent");
  assert.equal(await ended(second), 1);
  await ask(folder.path, "/keys");
  child.stdin.end();
  assert.equal(await ended(child), 0);
});

test("KS6: what was granted before kill -9 is spent in the next life (T-DD-08)", async () => {
  await using folder = await scratchFolder();
  const world = { ...systemPrimitives, ristretto: await openRistretto() };
  const file = join(folder.path, "key.spent");
  const balance = async (): Promise<string[]> => (await fs.readFile(file, "utf8")).split(" ");
  let child = start(folder.path, "--make-key");
  await ready(child);
  const text = Buffer.from(await ask(folder.path, "/keys")).toString();
  const { keys } = EvaluationKeys.parse(JSON.parse(text));
  const pinned = { epoch: keys[0]!.epoch, publicKey: fromHex(keys[0]!.publicKey) };
  const question = new Question(world, pinned, [utf8("a frame's hash")]);
  await ask(folder.path, "/evaluations", question.request);
  child.kill("SIGKILL");
  await ended(child);
  const [account, untilMs, free] = await balance();
  assert.equal(account, "a1".repeat(16));
  assert.equal(Number(free), FREE_A_DAY - BLOCK);

  // Nearly all of the day is spent: killing it gives nothing back, before its end or after it.
  await fs.writeFile(file, `${account} ${untilMs} 2 0\n`);
  const statuses: (number | undefined)[] = [];
  for (let life = 0; life < 2; life++) {
    child = start(folder.path);
    await ready(child);
    let granted = await answer(folder.path, "/evaluations", question.request);
    for (let tries = 0; tries < 100; tries++) {
      // Just started, it has nothing for anybody for a moment.
      const waitS = Number(granted.response.headers["retry-after"] ?? 60);
      if (granted.response.statusCode === 200 || waitS > 5) break;
      granted = await answer(folder.path, "/evaluations", question.request);
    }
    statuses.push(granted.response.statusCode);
    child.kill("SIGKILL");
    await ended(child);
  }
  assert.deepEqual(statuses, [200, 429]);
  assert.equal((await balance())[2], "0");
});
