import { strict as assert } from "node:assert";
import { after, before } from "node:test";
import { openPostgresMetadata } from "../../src/server/metadata/postgres.ts";
import { realClock } from "../../src/server/real-world.ts";
import { metadataContract } from "./metadata.ts";
import { sharedContract } from "./metadata-shared.ts";
import { PostgresServer } from "./postgres-server.ts";

const NO_LOG = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

let server: PostgresServer | undefined;
before(async () => {
  server = await PostgresServer.start();
});
after(() => server?.[Symbol.asyncDispose]());

async function open() {
  await using opened = new AsyncDisposableStack();
  assert(server !== undefined);
  const { url } = opened.use(await server.database());
  const peer = async () =>
    opened.use(await openPostgresMetadata(url, { clock: realClock, log: NO_LOG }));
  const metadata = await peer();
  const all = opened.move();
  return {
    metadata,
    peer: async () => all.use(await openPostgresMetadata(url, { clock: realClock, log: NO_LOG })),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

metadataContract("postgresql", open);
sharedContract("postgresql", open);
