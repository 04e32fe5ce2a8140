// The keys of devices, against a real server that keeps what they share, and may cheat.

import assert from "node:assert/strict";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { DeviceKeys } from "#cli/device-keys.ts";
import { enrolBy } from "#cli/linking.ts";
import { signUp, vouchFor } from "#cli/owner.ts";
import { callServer } from "#cli/server-calls.ts";
import type { HttpAccount } from "#platform/account-http.ts";
import { readConfig } from "#server/config.ts";
import { startServer } from "#server/main.ts";

export const CREDENTIALS = { account: "alice", password: "correct horse battery" };

type Member = {
  readonly keys: DeviceKeys;
  readonly calls: HttpAccount;
  readonly token: string;
};

export class KeysWorld implements AsyncDisposable {
  readonly folder = fs.mkdtempSync(join(tmpdir(), "lockstep-keys-"));
  readonly data = join(this.folder, "data");
  /** The recovery words of the account. */
  words = "";
  #server: Awaited<ReturnType<typeof startServer>> | null = null;

  get url(): string {
    assert.ok(this.#server !== null);
    return this.#server.address.url;
  }

  async start(): Promise<void> {
    const config = readConfig({ data: this.data, port: "0", log: "silent" }, {});
    this.#server = await startServer(config, "1.2.3");
  }

  async stop(): Promise<void> {
    await this.#server?.close();
    this.#server = null;
  }

  /** A device that has signed in by password and is in the keyring. */
  async device(name: string): Promise<Member> {
    const enrolled = await enrolBy(this.url, CREDENTIALS, name);
    const calls = callServer(this.url, enrolled.token);
    const keys = await enrolled.keys(calls);
    await vouchFor(calls, keys);
    keys.keepAt(join(this.folder, `${name}.json`));
    return { keys, calls, token: enrolled.token };
  }

  /** What the server would do that shows what it kept before. */
  edit(sql: string, ...values: (string | number | Uint8Array)[]): void {
    using database = new DatabaseSync(join(this.data, "metadata.sqlite"));
    assert.equal(database.prepare(sql).run(...values).changes, 1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    fs.rmSync(this.folder, { recursive: true });
  }
}

export async function opened(): Promise<KeysWorld> {
  const home = new KeysWorld();
  await home.start();
  home.words = (await signUp(callServer(home.url), CREDENTIALS)).words;
  return home;
}
