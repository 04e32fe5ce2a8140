import { randomBytes } from "node:crypto";
import { execFileSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MongoClient } from "mongodb";
import { freePort, StartedProgram } from "./started.ts";

/** Why no MongoDB can be had here; false when one can. */
export function mongoMissing(): string | false {
  if (process.env["LOCKSTEP_TEST_MONGODB"] !== undefined) return false;
  try {
    execFileSync("mongod", ["--version"], { stdio: "ignore" });
    return false;
  } catch {
    return "needs mongod on the PATH, or LOCKSTEP_TEST_MONGODB: mongodb://HOST:PORT of one";
  }
}

/** A MongoDB server of a test's own, a replica set of one, and databases in it. */
export class MongoServer implements AsyncDisposable {
  readonly #url: string;
  readonly #own: AsyncDisposable | null;

  private constructor(url: string, own: AsyncDisposable | null) {
    this.#url = url;
    this.#own = own;
  }

  /** The one that LOCKSTEP_TEST_MONGODB names, or a fresh one, which is gone afterwards. */
  static async start(): Promise<MongoServer> {
    const given = process.env["LOCKSTEP_TEST_MONGODB"];
    if (given !== undefined) return new MongoServer(given, null);
    await using own = new AsyncDisposableStack();
    const folder = await mkdtemp(join(tmpdir(), "lockstep-mongo-"));
    own.defer(() => rm(folder, { recursive: true, force: true }));
    const port = await freePort();
    const at = ["--dbpath", folder, "--port", String(port), "--bind_ip", "127.0.0.1"];
    const ready = /Waiting for connections/;
    own.use(await StartedProgram.start(["mongod", ...at, "--replSet", "test"], { ready }));
    const url = `mongodb://127.0.0.1:${port}/?directConnection=true`;
    const members = [{ _id: 0, host: `127.0.0.1:${port}` }];
    const client = new MongoClient(url);
    await client.db("admin").command({ replSetInitiate: { _id: "test", members } });
    for (let isPrimary = false; !isPrimary;) {
      const said = await client.db("admin").command({ hello: 1 });
      isPrimary = said["isWritablePrimary"] === true;
    }
    await client.close();
    return new MongoServer(url, own.move());
  }

  /** The address of an empty database, which goes with the variable that holds it. */
  async database(): Promise<AsyncDisposable & { readonly url: string }> {
    const name = `lockstep_${randomBytes(6).toString("hex")}`;
    const url = new URL(this.#url);
    url.pathname = `/${name}`;
    const drop = async (): Promise<void> => {
      await this.with(url.href, (client) => client.db().dropDatabase());
    };
    return { url: url.href, [Symbol.asyncDispose]: drop };
  }

  /** Does something in a database as somebody else would. */
  async with<T>(url: string, work: (client: MongoClient) => Promise<T>): Promise<T> {
    const client = new MongoClient(url);
    try {
      return await work(client);
    } finally {
      await client.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#own?.[Symbol.asyncDispose]();
  }
}
