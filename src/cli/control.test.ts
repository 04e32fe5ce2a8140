import assert from "node:assert/strict";
import * as fs from "node:fs";
import { createConnection, createServer } from "node:net";
import * as path from "node:path";
import { test } from "node:test";
import { WorldError } from "#core/errors.ts";
import { scratchFolder } from "../../test/contracts/scratch.ts";
import { ask, openControl, type Answers } from "./control.ts";

const ANSWERS: Answers = {
  echo: async ({ text }) => Promise.resolve({ text }),
  fail: async () => Promise.reject(new WorldError("no-space", "The disk is full: make room.")),
  never: async (_question, signal) =>
    new Promise((resolve) => {
      signal.addEventListener("abort", resolve, { once: true });
    }),
};

test("CL10: a question is answered, and a failure comes with its code", async () => {
  await using scratch = await scratchFolder();
  await using _ = await openControl(scratch.path, ANSWERS);
  const text = "any\ntext \u{1f980}".repeat(5_000);
  assert.deepEqual(await ask(scratch.path, { ask: "echo", text }), { answer: { text } });
  const full = { code: "no-space", message: "The disk is full: make room." };
  await assert.rejects(ask(scratch.path, { ask: "fail" }), full);
  await assert.rejects(ask(scratch.path, { ask: "constructor" }), { code: "not-found" });
});

test("CL10: nobody answers where no engine runs, ran and ended, or was killed", async () => {
  await using scratch = await scratchFolder();
  assert.equal(await ask(scratch.path, { ask: "echo" }), null);
  await (await openControl(scratch.path, ANSWERS))[Symbol.asyncDispose]();
  assert.equal(await ask(scratch.path, { ask: "echo" }), null);
  // What a killed process leaves: its file, and a socket that nobody listens on.
  const socket = path.join(scratch.path, "control");
  const dead = createServer().listen(socket);
  await new Promise((resolve) => dead.once("listening", resolve));
  fs.linkSync(socket, `${socket}-kept`);
  await new Promise((resolve) => dead.close(resolve));
  fs.renameSync(`${socket}-kept`, socket);
  fs.writeFileSync(path.join(scratch.path, "running.json"), JSON.stringify({ pid: 1, socket }));
  assert.equal(await ask(scratch.path, { ask: "echo" }), null);
  await using _ = await openControl(scratch.path, ANSWERS);
  assert.deepEqual(await ask(scratch.path, { ask: "echo", text: "x" }), { answer: { text: "x" } });
});

test("CL9: a state folder whose socket would be too long has it in a private place", async () => {
  await using scratch = await scratchFolder();
  const state = path.join(scratch.path, "a long name with spaces ".repeat(8));
  fs.mkdirSync(state);
  await using _ = await openControl(state, ANSWERS);
  assert.deepEqual(await ask(state, { ask: "echo", text: "x" }), { answer: { text: "x" } });
  const { socket } = JSON.parse(fs.readFileSync(path.join(state, "running.json"), "utf8"));
  assert.ok(Buffer.byteLength(socket) < 104);
  assert.equal(fs.statSync(path.dirname(socket)).mode & 0o777, 0o700);
});

test("who asks may give up, and an engine that ends tells those who wait", async () => {
  await using scratch = await scratchFolder();
  const control = await openControl(scratch.path, ANSWERS);
  const signal = AbortSignal.timeout(20);
  await assert.rejects(ask(scratch.path, { ask: "never" }, signal), { name: "TimeoutError" });
  const waiting = ask(scratch.path, { ask: "never" });
  const answered = await ask(scratch.path, { ask: "echo", text: "x" });
  assert.notEqual(answered, null);
  await control[Symbol.asyncDispose]();
  assert.equal(await waiting, null);
});

test("what is no question is refused, and the next one answered", async () => {
  await using scratch = await scratchFolder();
  await using _ = await openControl(scratch.path, ANSWERS);
  const socket = createConnection({ path: path.join(scratch.path, "control") });
  socket.write("this is no JSON\n");
  const reply = await new Promise<string>((resolve) => {
    socket.once("data", (piece: Buffer) => resolve(piece.toString()));
  });
  assert.match(reply, /^\{"error":/);
  socket.destroy();
  assert.notEqual(await ask(scratch.path, { ask: "echo", text: "x" }), null);
});
