import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { suite, test } from "node:test";
import { promisify } from "node:util";
import { arrives } from "./trees.ts";
import { type Device, type Server, until, World } from "./world.ts";

// oxlint-disable-next-line typescript/no-explicit-any -- a test looks into it as a program would
type Answer = { readonly status: number; readonly body: any };

const hasCurl = await promisify(execFile)("curl", ["--version"]).then(
  () => true,
  () => false,
);

/** What a program has: an account, its token, and curl. */
class Caller {
  readonly account: string;
  readonly #world: World;
  readonly #server: Server;
  readonly #token: string | null;

  constructor(world: World, server: Server, account: string, token: string | null) {
    this.account = account;
    this.#world = world;
    this.#server = server;
    this.#token = token;
  }

  static async open(world: World, server: Server, account: string): Promise<Caller> {
    const machine = world.device(`machine of ${account}`);
    const to = ["--server", server.url, "--account", account];
    await machine.run("account", "create", ...to);
    const token = (await machine.ok("token", "create", ...to)).trim();
    return new Caller(world, server, account, token);
  }

  as(token: string | null): Caller {
    return new Caller(this.#world, this.#server, this.account, token);
  }

  async call(to: string, ...more: string[]): Promise<Answer> {
    const bearer = this.#token === null ? [] : ["-H", `Authorization: Bearer ${this.#token}`];
    const always = ["-sS", "--path-as-is", "--max-time", "30", "-w", "\n%{http_code}"];
    const args = [...always, ...bearer, ...more, this.#server.url + to];
    const { stdout } = await promisify(execFile)("curl", args, { maxBuffer: 64 * 1024 * 1024 });
    const end = stdout.lastIndexOf("\n");
    const text = stdout.slice(0, end);
    const status = Number(stdout.slice(end + 1));
    return { status, body: /^[{[]/.test(text) ? JSON.parse(text) : text };
  }

  async commit(name: string, chunks: string[], more: object = {}): Promise<Answer> {
    const wish = { user_id: this.account, file_path: name, chunk_hashes: chunks, ...more };
    const file = path.join(this.#world.folder, `body-${randomBytes(4).toString("hex")}`);
    fs.writeFileSync(file, JSON.stringify(wish));
    const json = ["-H", "Content-Type: application/json", "--data-binary", `@${file}`];
    return this.call("/metadata_commit", ...json);
  }

  /** Uploads as multipart; with `claimed` under another hash than its own. */
  async upload(bytes: string | Uint8Array, claimed = hashOf(bytes)): Promise<Answer> {
    const file = path.join(this.#world.folder, `chunk-${randomBytes(4).toString("hex")}`);
    fs.writeFileSync(file, bytes);
    return this.call(`/upload_chunk/${this.account}/${claimed}`, "-F", `file=@${file}`);
  }
}

function hashOf(bytes: string | Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

async function withFolder(
  world: World,
): Promise<{ server: Server; device: Device; alice: Caller }> {
  const { server, devices } = await world.plainSynced("A");
  const [device] = devices;
  assert.ok(device);
  return { server, device, alice: await Caller.open(world, server, "alice") };
}

suite(
  "the seven calls beside a folder",
  { concurrency: 2, skip: hasCurl ? false : "needs curl" },
  () => {
    test("what a program commits is in the folder, and what is saved there is in its lists", async () => {
      await using world = await World.open();
      const { device, alice } = await withFolder(world);
      const parts = ["first part, ", "second part"];
      const hashes = parts.map(hashOf);
      const name = "from a program/файл 100%.txt";
      const pending = await alice.commit(name, hashes);
      assert.deepEqual(pending.body, { status: "pending", version_id: 0, missing_chunks: hashes });
      for (const part of parts)
        assert.deepEqual((await alice.upload(part)).body, { status: "uploaded" });
      const done = await alice.commit(name, hashes);
      assert.equal(done.body.status, "committed");
      await arrives(device, name, parts.join(""));
      const at = `/file_metadata/alice/${name.split("/").map(encodeURIComponent).join("/")}`;
      const { chunk_hashes: chunks, version } = (await alice.call(at)).body;
      assert.deepEqual({ chunks, version }, { chunks: hashes, version: done.body.version_id });

      device.write("from the folder/note", "v1");
      await device.settle();
      const note = (await alice.call("/file_metadata/alice/from%20the%20folder/note")).body;
      const [chunk = ""] = note.chunk_hashes;
      assert.equal((await alice.call(`/download_chunk/alice/${chunk}`)).body, "v1");
      const { files } = (await alice.call("/list_files/alice")).body;
      assert.deepEqual(
        files.map((file: { file_path: string }) => file.file_path).sort(),
        [name, "from the folder/note"].sort(),
      );
      device.write("from the folder/note", "v2");
      await device.settle();
      const back = await alice.call("/revert_file/alice/from%20the%20folder/note", "-X", "POST");
      assert.equal(back.body.status, "reverted");
      assert.equal(back.body.previous_version_id, note.version);
      await arrives(device, "from the folder/note", "v1");
      fs.rmSync(device.at("from the folder/note"));
      await device.settle();
      const updates = await alice.call(`/get_updates/alice/${back.body.version_id}`);
      const [gone] = updates.body.updated_files;
      assert.deepEqual(
        { path: gone.file_path, deleted: gone.deleted },
        {
          path: "from the folder/note",
          deleted: true,
        },
      );
    });

    test("a stale base is refused, a commit without one is the last write", async () => {
      await using world = await World.open();
      const { device, alice } = await withFolder(world);
      device.write("f", "from the folder");
      await device.settle();
      const bytes = "from a program";
      await alice.upload(bytes);
      const { version } = (await alice.call("/file_metadata/alice/f")).body;
      device.write("f", "from the folder again");
      await device.settle();
      const stale = await alice.commit("f", [hashOf(bytes)], { base_version: version });
      assert.equal(stale.status, 409);
      assert.equal(device.read("f"), "from the folder again");
      assert.equal((await alice.commit("f", [hashOf(bytes)])).status, 200);
      await arrives(device, "f", bytes);
      assert.deepEqual(device.list(), ["f"]);
    });

    test("nobody gets at what is another account's, nor learns that it is there", async () => {
      await using world = await World.open();
      const { server, device, alice } = await withFolder(world);
      const bob = await Caller.open(world, server, "bob");
      device.write("secret", "of alice");
      await device.settle();
      const hash = hashOf("of alice");
      const calls = [
        "/list_files/alice",
        "/file_metadata/alice/secret",
        "/get_updates/alice/0",
        `/download_chunk/alice/${hash}`,
      ];
      for (const to of calls) {
        assert.equal((await bob.call(to)).status, 403, to);
        assert.equal((await alice.as(null).call(to)).status, 401, to);
        assert.equal((await alice.as("nonsense").call(to)).status, 401, to);
      }
      const post = ["-X", "POST"];
      assert.equal((await bob.call("/revert_file/alice/secret", ...post)).status, 403);
      assert.equal((await alice.as(null).commit("x", [])).status, 401);
      // Knowing a hash gives nothing: the bytes have to be brought.
      assert.equal((await bob.call(`/download_chunk/bob/${hash}`)).status, 404);
      assert.equal((await bob.commit("mine", [hash])).body.status, "pending");
      assert.equal((await bob.call(`/download_chunk/bob/${hash}`)).status, 404);
      await bob.upload("of alice");
      assert.equal((await bob.commit("mine", [hash])).body.status, "committed");
    });

    test("wrong hashes, paths that lead out and absurd sizes are refused, and leave nothing", async () => {
      await using world = await World.open();
      const { server, device, alice } = await withFolder(world);
      assert.equal((await alice.upload("these bytes", hashOf("others"))).status, 422);
      for (const hash of [hashOf("these bytes"), hashOf("others")]) {
        assert.equal((await alice.call(`/download_chunk/alice/${hash}`)).status, 404);
      }
      for (const name of ["../x", "a/../x", ".", "/x", "x/", "a//b", ".lockstep/x", "a\0b", ""]) {
        assert.equal((await alice.commit(name, [])).status, 400, JSON.stringify(name));
      }
      for (const to of ["..%2Fx", "%2e%2e/bob/x", "%ff"]) {
        const { status } = await alice.call(`/file_metadata/alice/${to}`);
        assert.ok(status === 400 || status === 403, `${to}: ${status}`);
      }
      assert.equal((await alice.commit("x".repeat(5_000), [])).status, 400);
      assert.equal((await alice.upload(Buffer.alloc(9 * 1024 * 1024))).status, 413);
      const hash = hashOf("x");
      assert.equal(
        (
          await alice.commit(
            "f",
            Array.from({ length: 210_000 }, () => hash),
          )
        ).status,
        400,
      );
      assert.equal(
        (
          await alice.commit(
            "f",
            Array.from({ length: 450_000 }, () => hash),
          )
        ).status,
        413,
      );
      for (const since of ["-1", "x", "99999999999999999999"]) {
        assert.equal((await alice.call(`/get_updates/alice/${since}`)).status, 400, since);
      }
      await device.settle();
      assert.deepEqual(device.list(), []);
      const unfinished = path.join(server.data, "packs", "unfinished");
      await until(() => fs.readdirSync(unfinished).length === 0, "no upload lies about");
    });
  },
);
