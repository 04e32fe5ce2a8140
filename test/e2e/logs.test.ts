import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { suite, test } from "node:test";
import { keysFile } from "#cli/device-keys.ts";
import { listLinks } from "#cli/links.ts";
import { PASSWORD, until, World, type Device, type Server } from "./world.ts";

const NEW_PASSWORD = "a password that is newer";
const ACCOUNT = "annemarie";
const MIB = 1024 * 1024;

/** What a device's key file holds, but for who the device is. */
function secretsIn(file: string): string[] {
  const json = JSON.parse(fs.readFileSync(file, "utf8")) as Record<string, string>;
  const { account, device, ...secrets } = json;
  assert.ok(account && device);
  return Object.values(secrets);
}

function chunksOf({ data }: Server): string[] {
  using database = new DatabaseSync(path.join(data, "metadata.sqlite"), { readOnly: true });
  const rows = database.prepare("SELECT lower(hex(id)) AS id FROM chunks").all();
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

suite("logs", () => {
  test("T-SV-06: at trace neither the server nor a device logs a secret, a name or a whole chunk id [WI15, SA15]", async () => {
    await using world = await World.open();
    const loud = { LOCKSTEP_LOG: "trace" };
    const data = path.join(world.folder, "data");
    const serve = async (port = 0): Promise<Server> => {
      const on = ["serve", "--data", data, "--port", String(port)];
      const running = world.start(on, { env: loud });
      const [, url = ""] = await running.says(/^listening on (http:\/\/\S+)\n/);
      return { url, process: running, data };
    };
    const server = await serve();
    const [laptop, desk, lost] = ["annes-laptop", "annes-desk", "lost-phone"].map((name) =>
      world.device(name),
    );
    assert.ok(laptop && desk && lost);
    const said: (() => string)[] = [() => server.process.said];
    const loudly = (device: Device, args: string[], env: Record<string, string> = {}) => {
      const running = world.start(args, {
        env: { ...loud, LOCKSTEP_HOME: device.home, ...env },
      });
      said.push(() => running.stderr);
      return running;
    };
    const run = async (device: Device, args: string[], env: Record<string, string> = {}) => {
      const ended = await loudly(device, args, env).ended;
      assert.equal(ended.code, 0, `${args.join(" ")}: ${ended.stderr}`);
      return ended.stdout;
    };

    const to = ["--server", server.url, "--account", ACCOUNT];
    const made = JSON.parse(await run(laptop, ["account", "create", ...to, "--json"]));
    for (const device of [laptop, desk, lost]) {
      await run(device, ["link", device.dir, ...to, "--device", device.name]);
    }
    const film = randomBytes(2 * MIB);
    laptop.write("Kontoauszüge/geheim.txt", "the safe is behind the umbrella");
    laptop.write("holiday-film.mp4", film);
    // Nobody can read it, but for who may read everything: then it is one more file.
    laptop.write("verschlossen.txt", "closed");
    fs.chmodSync(laptop.at("verschlossen.txt"), 0);
    const engines = [loudly(laptop, ["sync", laptop.dir]), loudly(desk, ["sync", desk.dir])];
    await until(
      () => desk.read("Kontoauszüge/geheim.txt") !== null,
      () => engines.map((engine) => engine.said).join(""),
    );
    await until(() => fs.existsSync(desk.at("holiday-film.mp4")), "the film arrives");

    // What goes wrong is logged too: no server, damaged contents, a wrong password, a revoked device.
    await server.process.stop();
    desk.write("unterwegs.txt", "made while the server was away");
    damagePacks(server);
    const again = await serve(Number(new URL(server.url).port));
    said.push(() => again.process.said);
    await until(() => laptop.read("unterwegs.txt") !== null, "the device goes on by itself");
    await loudly(lost, ["sync", lost.dir, "--once"]).ended;
    const token = await run(laptop, ["token", "create", ...to]);
    await loudly(lost, ["token", "create", ...to], { LOCKSTEP_PASSWORD: "wrong wrong" }).ended;
    const revoked = JSON.parse(
      await run(laptop, ["devices", "revoke", lost.name, "--folder", laptop.dir, "--json"]),
    );
    await loudly(lost, ["sync", lost.dir, "--once"]).ended;
    await run(laptop, ["password", "--folder", laptop.dir], {
      LOCKSTEP_NEW_PASSWORD: NEW_PASSWORD,
    });
    const upload = `/upload_chunk/${ACCOUNT}/${"0".repeat(64)}?space=nowhere`;
    const headers = { authorization: `Bearer ${token.trim()}` };
    await fetch(again.url + upload, { method: "POST", headers, body: "not of this hash" });
    for (const engine of engines) await engine.stop();
    await again.process.stop();

    const printed = said.map((text) => text()).join("\n");
    const logged = printed.split("\n").filter((line) => line.startsWith("{"));
    for (const event of ["request", "engine-started", "tick-failed", "engine-halted"]) {
      assert.ok(
        logged.some((line) => line.includes(`"event":"${event}"`)),
        event,
      );
    }
    const told = /"event":"answer-broken".*Chunk [0-9a-f]{8}… is damaged/;
    assert.ok(logged.some((line) => told.test(line)));
    const keys = [laptop, desk, lost].flatMap((device) =>
      listLinks({ path: device.home }).flatMap(({ link, state }) => [
        link.token,
        link.cutKey,
        ...secretsIn(keysFile(state)),
      ]),
    );
    const files = ["master.key", "key-service.key"].flatMap((name) =>
      fs.readFileSync(path.join(data, name), "utf8").trim().split(/\s+/).slice(-1),
    );
    const names = ["geheim", "Kontoausz", "holiday", "verschlossen", "unterwegs", "umbrella"];
    const people = [ACCOUNT, laptop.name, desk.name, lost.name];
    const words = [made.words, revoked.words].flatMap((list: string) => [
      list,
      list.split(" ").slice(0, 2).join(" "),
    ]);
    const passwords = [PASSWORD, NEW_PASSWORD, "wrong wrong", token.trim()];
    const chunks = chunksOf(server);
    assert.ok(chunks.length > 0);
    for (const secret of [...keys, ...files, ...words, ...passwords, ...chunks]) {
      const at = printed.indexOf(secret);
      assert.ok(at === -1, `${secret}: ${printed.slice(Math.max(0, at - 200), at + 100)}`);
    }
    assert.doesNotMatch(printed, /[0-9a-f]{64}|ls_(dev|pat)_[A-Za-z0-9]/);
    // What is said to the person at the terminal may name things; what is logged must not.
    for (const name of [...names, ...people, world.folder]) {
      assert.equal(
        logged.find((line) => line.includes(name)),
        undefined,
      );
    }
  });
});
