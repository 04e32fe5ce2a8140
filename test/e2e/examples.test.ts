import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { suite, test } from "node:test";
import { PROJECT, World } from "./world.ts";

const example = (name: string): string =>
  fs.readFileSync(path.join(PROJECT, "docs/examples", name), "utf8");

const systemd =
  spawnSync("systemd-analyze", ["--version"]).status === 0 ? false : "needs systemd-analyze";

/** Starts what an example starts, but for folder and port, and stops it as its keeper would. */
async function assertServes(command: readonly string[]): Promise<void> {
  await using world = await World.open();
  assert.equal(command[0], "/opt/lockstep/lockstep");
  const own: Record<string, string> = { "--data": path.join(world.folder, "data"), "--port": "0" };
  const args = command.slice(1).map((arg, at) => own[command[at] ?? ""] ?? arg);
  const server = world.start(args);
  const [, port = ""] = await server.says(/^listening on http:\/\/[\d.]+:(\d+)\n/);
  assert.equal((await fetch(`http://127.0.0.1:${port}/readyz`)).status, 200);
  assert.equal((await server.stop("SIGTERM")).code, 0);
}

suite("the examples", { concurrency: 2 }, () => {
  test("WI21: the systemd unit's server starts, and ends well on its stop signal", async () => {
    const [, command = ""] = /^ExecStart=(.*)$/m.exec(example("lockstep.service")) ?? [];
    await assertServes(command.split(" "));
  });

  test("WI21: the compose file's server starts, and ends well when it is stopped", async () => {
    const [, command = "[]"] = /^ {4}command:\s+(\[.*\])$/m.exec(example("compose.yaml")) ?? [];
    await assertServes(JSON.parse(command) as string[]);
  });

  test("the systemd unit is as systemd wants it", { skip: systemd }, async () => {
    await using world = await World.open();
    const unit = path.join(world.folder, "lockstep.service");
    const here = path.join(PROJECT, "lockstep");
    fs.writeFileSync(unit, example("lockstep.service").replaceAll("/opt/lockstep/lockstep", here));
    const { status, stderr } = spawnSync("systemd-analyze", ["verify", "--man=no", unit], {
      encoding: "utf8",
    });
    assert.deepEqual([status, stderr], [0, ""]);
  });
});
