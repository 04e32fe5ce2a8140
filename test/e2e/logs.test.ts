import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { suite, test } from "node:test";
import { keysFile } from "#cli/device-keys.ts";
import { listLinks } from "#cli/links.ts";
import { secretsIn } from "./log-search.ts";
import { PASSWORD, until, World, type Device, type Running, type Server } from "./world.ts";

const NEW_PASSWORD = "a password that is newer";
const WRONG_PASSWORD = "not her password";
const ACCOUNT = "annemarie";
const MIB = 1024 * 1024;

function chunksIn(data: string): string[] {
  using database = new DatabaseSync(path.join(data, "metadata.sqlite"), { readOnly: true });
  const rows = database.prepare("SELECT lower(hex(id)) AS id FROM chunks").all();
  assert.ok(rows.length > 0);
  return rows.map(({ id }) => String(id));
}

/** Turns over one byte in the middle of every pack. */
function damagePacks({ data }: Server): void {
  const packs = path.join(data, "packs");
  for (const entry of fs.readdirSync(packs, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = path.join(entry.parentPath, entry.name);
    const bytes = fs.readFileSync(file);
    const middle = Math.floor(bytes.length / 2);
    bytes[middle] = (bytes[middle] ?? 0) ^ 1;
    fs.writeFileSync(file, bytes);
  }
}

/** Everybody with the loudest log, and all that they print. */
class Loud {
  readonly #world: World;
  readonly data: string;
  readonly #running: Running[] = [];

  constructor(world: World) {
    this.#world = world;
    this.data = path.join(world.folder, "data");
  }

  async serve(port = 0): Promise<Server> {
    const on = ["serve", "--data", this.data, "--port", String(port)];
    const process = this.#start(on, {});
    const [, url = ""] = await process.says(/^listening on (http:\/\/\S+)\n/);
    return { url, process, data: this.data };
  }

  start(device: Device, args: string[], env: Record<string, string> = {}): Running {
    return this.#start(args, { LOCKSTEP_HOME: device.home, ...env });
  }

  /** Runs a command to its end, which must be a good one; what it answers is no log. */
  async run(device: Device, args: string[], env: Record<string, string> = {}): Promise<string> {
    const { code, stdout, stderr } = await this.start(device, args, env).ended;
    assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
    return stdout;
  }

  get printed(): string {
    return this.#running.map(({ stderr }) => stderr).join("\n");
  }

  #start(args: string[], env: Record<string, string>): Running {
    const running = this.#world.start(args, { env: { LOCKSTEP_LOG: "trace", ...env } });
    this.#running.push(running);
    return running;
  }
}

type People = { readonly laptop: Device; readonly desk: Device; readonly lost: Device };

/** A day on which much goes wrong; gives the words and the token that were handed out. */
async function day(loud: Loud, { laptop, desk, lost }: People): Promise<string[]> {
  const server = await loud.serve();
  const to = ["--server", server.url, "--account", ACCOUNT];
  const made = JSON.parse(await loud.run(laptop, ["account", "create", ...to, "--json"]));
  for (const device of [laptop, desk, lost]) {
    await loud.run(device, ["link", device.dir, ...to, "--device", device.name]);
  }
  laptop.write("Kontoauszüge/geheim.txt", "the safe is behind the umbrella");
  laptop.write("holiday-film.mp4", randomBytes(2 * MIB));
  // Whoever may read everything reads this too: then it is one more file.
  laptop.write("verschlossen.txt", "closed");
  fs.chmodSync(laptop.at("verschlossen.txt"), 0);
  const engines = [laptop, desk].map((device) => loud.start(device, ["sync", device.dir]));
  const all = ["Kontoauszüge/geheim.txt", "holiday-film.mp4"];
  await until(() => all.every((name) => fs.existsSync(desk.at(name))), "all arrives");

  // No server, damaged contents, a wrong password, a revoked device, a wrong hash.
  await server.process.stop();
  desk.write("unterwegs.txt", "made while the server was away");
  damagePacks(server);
  const again = await loud.serve(Number(new URL(server.url).port));
  await until(() => laptop.read("unterwegs.txt") !== null, "the device goes on by itself");
  await loud.start(lost, ["sync", lost.dir, "--once"]).ended;
  const token = (await loud.run(laptop, ["token", "create", ...to])).trim();
  const wrong = { LOCKSTEP_PASSWORD: WRONG_PASSWORD };
  await loud.start(lost, ["token", "create", ...to], wrong).ended;
  const revoke = ["devices", "revoke", lost.name, "--folder", laptop.dir, "--json"];
  const revoked = JSON.parse(await loud.run(laptop, revoke));
  await loud.start(lost, ["sync", lost.dir, "--once"]).ended;
  const change = ["password", "--folder", laptop.dir];
  await loud.run(laptop, change, { LOCKSTEP_NEW_PASSWORD: NEW_PASSWORD });
  const upload = `${again.url}/upload_chunk/${ACCOUNT}/${"0".repeat(64)}?space=nowhere`;
  const headers = { authorization: `Bearer ${token}` };
  await fetch(upload, { method: "POST", headers, body: "not of this hash" });
  for (const engine of engines) await engine.stop();
  await again.process.stop();
  const words: string[] = [made.words, revoked.words];
  return [token, ...words, ...words.map((list) => list.split(" ").slice(0, 2).join(" "))];
}

/** All keys and tokens that machines and server have in files. */
function keysOf(loud: Loud, devices: readonly Device[]): string[] {
  const links = devices.flatMap((device) => listLinks({ path: device.home }));
  const own = links.flatMap(({ link, state }) => {
    return [link.token, link.cutKey, ...secretsIn(keysFile(state))];
  });
  const servers = ["master.key", "key-service.key"].map((name) => {
    return fs.readFileSync(path.join(loud.data, name), "utf8").trim().split(/\s+/).at(-1) ?? "";
  });
  assert.ok(links.length > 2);
  return [...own, ...servers];
}

suite("logs", () => {
  test("T-SV-06: at trace neither the server nor a device logs a secret, a name or a whole chunk id [WI15, SA15]", async () => {
    await using world = await World.open();
    const loud = new Loud(world);
    const laptop = world.device("annes-laptop");
    const desk = world.device("annes-desk");
    const lost = world.device("lost-phone");
    const handedOut = await day(loud, { laptop, desk, lost });

    const { printed } = loud;
    const logged = printed.split("\n").filter((line) => line.startsWith("{"));
    for (const event of [
      /"event":"request"/,
      /"event":"engine-started"/,
      /"event":"feed-failed"/,
      /"event":"engine-halted"/,
      /"event":"chunks-damaged".*run lockstep scrub/,
    ]) {
      assert.ok(
        logged.some((line) => event.test(line)),
        String(event),
      );
    }
    const secrets = [
      ...handedOut,
      ...keysOf(loud, [laptop, desk, lost]),
      PASSWORD,
      NEW_PASSWORD,
      WRONG_PASSWORD,
      "the umbrella",
      ...chunksIn(loud.data),
    ];
    for (const secret of secrets) {
      const at = printed.indexOf(secret);
      assert.ok(at === -1, `${secret}: ${printed.slice(Math.max(0, at - 200), at + 100)}`);
    }
    assert.doesNotMatch(printed, /[0-9a-f]{64}|ls_(dev|pat)_[A-Za-z0-9]/);
    // What is said to the person at the terminal may name things; what is logged must not.
    const names = ["geheim", "Kontoausz", "holiday", "verschlossen", "unterwegs", ACCOUNT];
    for (const name of [...names, laptop.name, desk.name, lost.name, world.folder]) {
      assert.deepEqual(
        logged.filter((line) => line.includes(name)),
        [],
      );
    }
  });
});
