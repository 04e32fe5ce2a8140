import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { client } from "@serenity-kit/opaque";
import { setImmediate } from "node:timers/promises";
import { concat } from "#core/bytes.ts";
import { chunkId, type ChunkId } from "#core/ids.ts";
import type { Chance, LogFields } from "#core/world.ts";
import type { Change, Commit } from "#protocol/commit.ts";
import { frameHead, FRAMES_MEDIA_TYPE } from "#protocol/frames.ts";
import { writePlainMeta } from "#protocol/meta.ts";
import { fillRoute } from "#protocol/routes.ts";
import type { SpaceRow } from "#protocol/spaces.ts";
import { buildApp, type App, type AppWorld } from "../../src/server/app.ts";
import { MemoryPacks } from "../../src/server/chunks/memory.ts";
import { nodeDigest } from "../../src/server/digest.ts";
import type { Metadata } from "../../src/server/metadata/port.ts";
import { openSqliteMetadata } from "../../src/server/metadata/sqlite.ts";
import type { Metrics } from "../../src/server/metrics.ts";
import { Opaque } from "../../src/server/opaque.ts";
import { Secrets } from "../../src/server/secrets.ts";
import { AnswerCheck } from "./answer-check.ts";
import { StandingClock } from "./clock.ts";
import { watched } from "./watched.ts";

export const PASSWORD = "correct horse battery";

/** The least that Argon2 takes: what these tests ask is not how hard a hash is. */
const keyStretching = { "argon2id-custom": { iterations: 1, memory: 8, parallelism: 1 } };
const MASTER_KEY = new Uint8Array(32).fill(9);

/** The public half of nobody's recovery key. */
const RECOVERY_KEY = "0".repeat(64);

export function sha256(bytes: Uint8Array | string): ChunkId {
  return chunkId(createHash("sha256").update(bytes).digest("hex"));
}

/** Bytes that differ from call to call and are the same in every run. */
class CountedChance implements Chance {
  readonly #label: string;
  #count = 0;

  constructor(label: string) {
    this.#label = label;
  }

  bytes(length: number): Uint8Array {
    const blocks: Uint8Array[] = [];
    for (let filled = 0; filled < length; filled += 32) {
      blocks.push(
        createHash("sha256")
          .update(`${this.#label} ${this.#count++}`)
          .digest(),
      );
    }
    return concat(blocks).slice(0, length);
  }
}

export type Answer = {
  readonly status: number;
  readonly headers: Headers;
  /** What the JSON says; undefined for anything else. */
  // oxlint-disable-next-line typescript/no-explicit-any -- a test looks into it as a program would
  readonly json: any;
  readonly bytes: Uint8Array;
};

export type Call = {
  readonly json?: unknown;
  readonly body?: RequestInit["body"];
  readonly headers?: Record<string, string>;
  readonly token?: string;
  readonly signal?: AbortSignal;
};

export type LogLine = { readonly event: string } & LogFields;

type More = Pick<Partial<AppWorld>, "quotaBytes" | "requestsPerSecond" | "audit"> & {
  readonly packs?: MemoryPacks;
  readonly name?: string;
  readonly metrics?: Metrics;
  /** Gets what is asked of the database and of what knows the passwords. */
  readonly told?: string[];
};

/** A whole server in this process, with a clock that stands until a test moves it. */
export class ServerWorld implements AsyncDisposable {
  readonly clock = new StandingClock();
  readonly log: LogLine[] = [];
  readonly closing = new AbortController();
  /** JSON bodies of all requests. */
  readonly sent: string[] = [];
  #accounts = 0;
  readonly metadata: Metadata;
  readonly app: App;
  readonly check: AnswerCheck;

  private constructor(metadata: Metadata, app: (world: ServerWorld) => App, document: object) {
    this.metadata = metadata;
    this.app = app(this);
    this.check = new AnswerCheck(document as ConstructorParameters<typeof AnswerCheck>[0]);
  }

  /** Over a database of its own, or as one more server, with a name of its own, over another's. */
  static async open(metadata?: Metadata, more: More = {}): Promise<ServerWorld> {
    return ServerWorld.#over(metadata ?? (await openSqliteMetadata(":memory:")), more);
  }

  static async #over(own: Metadata, more: More): Promise<ServerWorld> {
    const { packs = new MemoryPacks(), name = "chance", metrics, told, ...limits } = more;
    const secrets = new Secrets(MASTER_KEY, new CountedChance(`${name}'s secret`));
    const passwords = await Opaque.open(own.journals, secrets);
    const [metadata, opaque] =
      told === undefined ? [own, passwords] : [watched(own, told), watched(passwords, told)];
    const build = (world: Pick<ServerWorld, "clock" | "log" | "closing">, own?: Metrics): App => {
      const note = (event: string, fields?: LogFields): void =>
        void world.log.push({ event, ...fields });
      return buildApp({
        metadata,
        packs,
        clock: world.clock,
        chance: new CountedChance(name),
        digest: nodeDigest,
        log: { debug: note, info: note, warn: note, error: note },
        version: "1.2.3",
        opaque,
        secrets,
        metrics: own,
        ...limits,
        closing: world.closing.signal,
      });
    };
    const spare = { clock: new StandingClock(), log: [], closing: new AbortController() };
    const document = await (await build(spare).request("/openapi.json")).json();
    return new ServerWorld(metadata, (world) => build(world, metrics), document as object);
  }

  /** The answer as it begins; nothing is read of its body. */
  async begin(method: string, path: string, call: Call = {}): Promise<Response> {
    const headers = new Headers(call.headers);
    if (call.token !== undefined) headers.set("authorization", `Bearer ${call.token}`);
    const init: RequestInit = { method, headers };
    if (call.signal !== undefined) init.signal = call.signal;
    if (call.body !== undefined) Object.assign(init, { body: call.body, duplex: "half" });
    if (call.json !== undefined) {
      headers.set("content-type", "application/json");
      init.body = JSON.stringify(call.json);
      this.sent.push(init.body);
    }
    return this.app.request(`http://server${path}`, init);
  }

  /** One request and its whole answer, which must be as the OpenAPI document says. */
  async call(method: string, path: string, call: Call = {}): Promise<Answer> {
    const answer = await this.begin(method, path, call);
    const bytes = new Uint8Array(await answer.arrayBuffer());
    const text = new TextDecoder().decode(bytes);
    this.check.check(method, path.split("?")[0] ?? "", answer, text);
    const isJson = /json/.test(answer.headers.get("content-type") ?? "");
    const json = isJson ? JSON.parse(text) : undefined;
    return { status: answer.status, headers: answer.headers, json, bytes };
  }

  async signUp(account: string): Promise<Person> {
    assert.equal((await this.register(account)).status, 201);
    return new Person(this, account, (await this.enrol(account, "laptop")).json.token);
  }

  /** Makes an account, as a device does: the password stays here. */
  async register(
    account: string,
    password = PASSWORD,
    recoveryKey = RECOVERY_KEY,
  ): Promise<Answer> {
    const registrationRecord = await this.newRecord(account, password);
    const sealed = { recoveryKey, bundle: "bundle", keyring: "keyring" };
    const accountId = sha256(`account ${this.#accounts++}`).slice(0, 32);
    const wish = { accountId, account, registrationRecord, ...sealed };
    return this.call("POST", "/v1/accounts", { json: wish });
  }

  /** What the server knows a password by. */
  async newRecord(account: string, password: string): Promise<string> {
    const started = client.startRegistration({ password });
    const { clientRegistrationState, registrationRequest } = started;
    const asked = { account, registrationRequest };
    const { json: given } = await this.call("POST", "/v1/registrations", { json: asked });
    const { registrationRecord } = client.finishRegistration({
      ...given,
      password,
      clientRegistrationState,
      keyStretching,
    });
    return registrationRecord;
  }

  /**
   * Signs in as far as the server's first answer goes, and makes the proof; a wrong password is
   * told here already, and what a device that goes on all the same would send proves nothing.
   */
  async prove(account: string, password = PASSWORD): Promise<{ answer: Answer; proof: object }> {
    const { clientLoginState, startLoginRequest } = client.startLogin({ password });
    const asked = { account, startLoginRequest };
    const answer = await this.call("POST", "/v1/logins", { json: asked });
    if (answer.status !== 200) return { answer, proof: {} };
    const { loginResponse, state } = answer.json;
    const said = { clientLoginState, loginResponse, password, keyStretching };
    const finishLoginRequest = client.finishLogin(said)?.finishLoginRequest ?? "A".repeat(86);
    return { answer, proof: { kind: "password", state, finishLoginRequest } };
  }

  async enrol(account: string, device: string, password = PASSWORD): Promise<Answer> {
    const { answer, proof } = await this.prove(account, password);
    if (answer.status !== 200) return answer;
    return this.call("POST", "/v1/devices", { json: { proof, device } });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.metadata[Symbol.asyncDispose]();
  }
}

/** Somebody with an account and a token. */
export class Person {
  readonly world: ServerWorld;
  readonly account: string;
  readonly token: string;

  constructor(world: ServerWorld, account: string, token: string) {
    this.world = world;
    this.account = account;
    this.token = token;
  }

  call(method: string, path: string, call: Call = {}): Promise<Answer> {
    return this.world.call(method, path, { token: this.token, ...call });
  }

  async space(name: string, folding = true): Promise<SpaceRow> {
    const made = await this.call("POST", "/v1/spaces", { json: { name, kind: "plain", folding } });
    assert.equal(made.status, 201);
    return made.json;
  }

  /** Sends chunks to a space as a device does. */
  async put(space: string, ...chunks: Uint8Array[]): Promise<Answer> {
    return this.#putFrames(
      space,
      chunks.map((bytes) => [sha256(bytes), bytes]),
    );
  }

  /** Sends bytes under an id that need not be theirs. */
  async putAs(space: string, id: ChunkId, bytes: Uint8Array): Promise<Answer> {
    return this.#putFrames(space, [[id, bytes]]);
  }

  #putFrames(space: string, chunks: readonly [ChunkId, Uint8Array][]): Promise<Answer> {
    const frames = chunks.flatMap(([id, bytes]) => [frameHead(id, bytes.length), bytes]);
    return this.call("POST", fillRoute("chunks", { space }), {
      body: concat(frames) as Uint8Array<ArrayBuffer>,
      headers: { "content-type": FRAMES_MEDIA_TYPE },
    });
  }

  /** Commits changes on the present head, as a device does. */
  async commit(space: string, changes: readonly Change[]): Promise<Answer> {
    const row = (await this.call("GET", fillRoute("space", { space }))).json as SpaceRow;
    const { head: sequence, chain } = row;
    const commitId = sha256(`commit ${sequence} ${JSON.stringify(changes)}`).slice(0, 32);
    const commit = { commitId, base: { sequence, chain }, changes } as unknown as Commit;
    return this.call("POST", fillRoute("commits", { space }), { json: commit });
  }

  /** Uploads a file's bytes as one chunk and commits it, by the REST calls. */
  async write(path: string, text: string, more: object = {}): Promise<Answer> {
    const hash = sha256(text);
    const upload = fillRoute("uploadChunk", { user_id: this.account, chunk_hash: hash });
    const { space } = more as { space?: string };
    const query = space === undefined ? "" : `?space=${space}`;
    const uploaded = await this.call("POST", upload + query, { body: text });
    assert.equal(uploaded.status, 200);
    const wish = { user_id: this.account, file_path: path, chunk_hashes: [hash], ...more };
    return this.call("POST", "/metadata_commit", { json: wish });
  }
}

const FOLDER_META = writePlainMeta({ content: { kind: "folder" }, mtimeMs: 0 });

/** A node id that a test can tell from others. */
export function testNode(number: number): string {
  return number.toString(16).padStart(32, "0");
}

export function makeFolder(node: string, parent: string, name: string): Change {
  const change = { kind: "create", node, type: "folder", parent, name, meta: FOLDER_META };
  return { ...change, chunks: [] } as unknown as Change;
}

export function makeFile(node: string, parent: string, name: string, text: string): Change {
  const hash = sha256(text);
  const sizeBytes = Buffer.byteLength(text);
  const meta = JSON.stringify({
    kind: "file",
    sizeBytes,
    sha256: hash,
    executable: false,
    mtimeMs: 1,
  });
  const change = { kind: "create", node, type: "file", parent, name, meta };
  return { ...change, chunks: [hash], lengths: [sizeBytes] } as unknown as Change;
}

/** Lets all that can go on go on, until `done` says that it has. */
export async function until(done: () => boolean): Promise<void> {
  for (let turn = 0; !done(); turn++) {
    assert.ok(turn < 10_000, "it never happened");
    await setImmediate();
  }
}
