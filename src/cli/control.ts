import * as fs from "node:fs";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { platform, tmpdir, userInfo } from "node:os";
import { dirname, join } from "node:path";
import { codeOf, messageOf, WorldError } from "#core/errors.ts";
import { makePrivateFolder, readJsonFile, shortHash, writePrivateFile } from "./home.ts";

/**
 * The door to a running engine: a Unix socket (on Windows a named pipe) that only this user can
 * open. One connection is one question: a line of JSON, answered by a line of JSON.
 */
export type Question = { readonly ask: string } & Readonly<Record<string, unknown>>;

type Answer = { readonly ok: unknown } | { readonly error: { code: string; message: string } };

/** Answers a question of that name; the signal aborts when the asker has gone. */
export type Answers = Readonly<
  Record<string, (question: Question, signal: AbortSignal) => Promise<unknown>>
>;

/** `sun_path` holds 104 bytes on macOS and 108 on Linux, the final zero included. */
const MAX_SOCKET_BYTES = 103;
const MAX_QUESTION_BYTES = 64 * 1024;
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

function runningFile(state: string): string {
  return join(state, "running.json");
}

/**
 * Where the socket of a folder's engine lies: in its state, or in a short place of the system's.
 */
function socketPath(state: string): string {
  if (platform() === "win32") return `\\\\.\\pipe\\lockstep-${shortHash(state)}`;
  const near = join(state, "control");
  if (Buffer.byteLength(near) <= MAX_SOCKET_BYTES) return near;
  const folder = `lockstep-${userInfo().uid}`;
  const name = shortHash(state);
  const places = [tmpdir(), "/tmp"].map((place) => join(place, folder, name));
  const short = places.find((place) => Buffer.byteLength(place) <= MAX_SOCKET_BYTES);
  return short ?? near;
}

/** A folder below the system's temporary one must be ours alone, whoever made it first. */
function makeSocketFolder(path: string): void {
  makePrivateFolder(path);
  const stat = fs.lstatSync(path);
  const isOurs = stat.isDirectory() && (stat.mode & 0o077) === 0 && stat.uid === userInfo().uid;
  if (isOurs) return;
  const message = `${path} is not this user's own folder: remove it, the socket goes there.`;
  throw new WorldError("no-permission", message);
}

/**
 * Answers questions until disposed. The caller holds the folder's lock, so a socket that lies there
 * was left by an engine that did not live to remove it.
 */
export async function openControl(state: string, answers: Answers): Promise<AsyncDisposable> {
  const path = socketPath(state);
  if (platform() !== "win32") {
    if (dirname(path) !== state) makeSocketFolder(dirname(path));
    fs.rmSync(path, { force: true });
  }
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    void answer(socket, answers);
  });
  await listen(server, path);
  writePrivateFile(runningFile(state), JSON.stringify({ pid: process.pid, socket: path }));
  return {
    async [Symbol.asyncDispose]() {
      fs.rmSync(runningFile(state), { force: true });
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      // Those who still wait for an answer hear that the engine has ended.
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => {
      const message = `Cannot open the control socket ${path} (${messageOf(cause)}): free it.`;
      reject(new WorldError("cannot-listen", message, { cause }));
    });
    server.listen(path, () => {
      if (platform() !== "win32") fs.chmodSync(path, 0o600);
      resolve();
    });
  });
}

async function answer(socket: Socket, answers: Answers): Promise<void> {
  const gone = new AbortController();
  socket.once("close", () => gone.abort());
  // A peer that hangs up is not an event for the engine.
  socket.on("error", () => gone.abort());
  let reply: Answer;
  try {
    const question = JSON.parse(await readLine(socket, MAX_QUESTION_BYTES)) as Question;
    const work = Object.hasOwn(answers, question.ask) ? answers[question.ask] : undefined;
    if (work === undefined) throw new WorldError("not-found", `There is no ${question.ask}.`);
    reply = { ok: (await work(question, gone.signal)) ?? null };
  } catch (error) {
    reply = { error: { code: codeOf(error), message: messageOf(error) } };
  }
  if (!socket.destroyed) socket.end(`${JSON.stringify(reply)}\n`);
}

function readLine(socket: Socket, maxBytes: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    let bytes = 0;
    socket.on("data", (piece: Buffer) => {
      pieces.push(piece);
      bytes += piece.length;
      if (piece.includes(0x0a)) resolve(Buffer.concat(pieces).toString().split("\n", 1)[0] ?? "");
      else if (bytes > maxBytes) reject(new WorldError("too-long", "That is too much at once."));
    });
    const ended = (): void => reject(new WorldError("not-running", "The engine has ended."));
    socket.once("end", ended);
    socket.once("error", ended);
    socket.once("close", ended);
  });
}

/**
 * Asks the running engine of a folder; null when none runs (or it ended before it answered). Throws
 * WorldError with the engine's own code, or the signal's reason.
 */
export async function ask(
  state: string,
  question: Question,
  signal?: AbortSignal,
): Promise<{ readonly answer: unknown } | null> {
  const running = readJsonFile(runningFile(state)) as { socket?: unknown } | null;
  if (typeof running?.socket !== "string") return null;
  const socket = createConnection({ path: running.socket });
  const stop = (): void => void socket.destroy();
  signal?.addEventListener("abort", stop, { once: true });
  try {
    socket.write(`${JSON.stringify(question)}\n`);
    const reply = JSON.parse(await readLine(socket, MAX_ANSWER_BYTES)) as Answer;
    if ("ok" in reply) return { answer: reply.ok };
    throw new WorldError(reply.error.code, reply.error.message);
  } catch (error) {
    signal?.throwIfAborted();
    if (codeOf(error) === "not-running") return null;
    throw error;
  } finally {
    signal?.removeEventListener("abort", stop);
    socket.destroy();
  }
}
