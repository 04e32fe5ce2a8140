// The key service: a process of its own with a key of its own, asked by the server over a Unix
// socket. `node src/key-service/main.ts --socket PATH --key-file PATH [--make-key] [--with-parent]`

import { connect } from "node:net";
import { unlink } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { parseArgs } from "node:util";
import { createAdaptorServer } from "@hono/node-server";
import { messageOf, WorldError } from "#core/errors.ts";
import { systemChance } from "#platform/chance.ts";
import { systemClock } from "#platform/clock.ts";
import { systemPrimitives } from "#platform/primitives.ts";
import { openRistretto } from "#platform/ristretto.ts";
import { buildKeyApp } from "./app.ts";
import { Budget } from "./budget.ts";
import { makeKeyFile, readSeeds } from "./key-file.ts";
import { SpentFile } from "./spent-file.ts";

/** A question is 16 KiB, and its sender on this machine. */
const REQUEST_TIMEOUT_MS = 10_000;

/** Whether somebody answers at a socket that is there. */
function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

async function expectNobody(path: string): Promise<void> {
  if (!(await isAnswered(path))) return;
  throw new WorldError("cannot-listen", `Another key service answers at ${path} already.`);
}

async function listen(server: Server, path: string): Promise<void> {
  // What a killed process left behind.
  await unlink(path).catch(() => {});
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, resolve);
  });
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      socket: { type: "string" },
      "key-file": { type: "string" },
      "make-key": { type: "boolean", default: false },
      "with-parent": { type: "boolean", default: false },
    },
  });
  const { socket, "key-file": keyFile } = values;
  if (socket === undefined || keyFile === undefined) {
    throw new WorldError("usage", "The key service needs --socket PATH and --key-file PATH.");
  }
  // The socket, like the key file, is for this person's processes alone.
  process.umask(0o077);
  if (values["make-key"]) await makeKeyFile(keyFile, systemChance);
  const seeds = await readSeeds(keyFile);
  const { hashes } = systemPrimitives;
  const world = { hashes, ristretto: await openRistretto(), chance: systemChance };
  await expectNobody(socket);
  const spent = await SpentFile.open(`${keyFile}.spent`, systemClock.nowMs());
  const app = buildKeyApp(world, seeds, new Budget(systemClock, spent));
  const server = createAdaptorServer({
    fetch: app.fetch,
    createServer,
    serverOptions: { headersTimeout: REQUEST_TIMEOUT_MS, requestTimeout: REQUEST_TIMEOUT_MS },
  }) as Server;
  await listen(server, socket);
  const close = (): void => {
    server.close(() => void spent[Symbol.asyncDispose]());
    server.closeIdleConnections();
    process.stdin.destroy();
  };
  process.once("SIGTERM", close);
  process.once("SIGINT", close);
  // A server that was killed takes its key service along: the pipe between them ends.
  if (values["with-parent"]) process.stdin.once("end", close).resume();
  process.stdout.write("ready\n");
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n`);
  process.exitCode = 1;
}
