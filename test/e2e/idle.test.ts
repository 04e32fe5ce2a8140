import assert from "node:assert/strict";
import * as fs from "node:fs";
import { platform } from "node:os";
import { suite, test } from "node:test";
import { settled } from "./trees.ts";
import { type Running, until, World } from "./world.ts";

/** The server answers the waiting request after 50 s at the latest. */
const PATIENCE_MS = 70_000;
const WAITED_MS = 45_000;
/** Far above what idling costs (0.15 % of a core), far below what polling would. */
const MOST_CPU_MS = 1_000;
const MS_PER_TICK = 10;
/** Some more than is used: how much of the program itself is in memory differs by machine. */
const MOST_RESIDENT_MIB = 140;

type Line = { readonly event: string; readonly route?: string; readonly ms?: number };

function requestsIn(text: string): Line[] {
  const lines = text.split("\n").filter((line) => line.startsWith("{"));
  return lines.map((line) => JSON.parse(line) as Line).filter(({ event }) => event === "request");
}

/** CPU time of a process so far, in its user and kernel parts together. */
function cpuMs({ pid }: Running): number {
  const stat = fs.readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK;
}

function residentMib({ pid }: Running): number {
  const status = fs.readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}

suite("devices that have nothing to do", () => {
  const skip = platform() === "linux" ? false : "needs /proc";
  test(
    "EN1, EN7: send nothing but the request that waits, and rest in little memory",
    { skip },
    async (context) => {
      await using world = await World.open();
      const { server, devices } = await world.synced("A", "B");
      for (let n = 0; n < 500; n++) devices[0]?.write(`d${n % 10}/${n}`, `${n}`);
      await settled(devices);
      const before = requestsIn(server.process.stderr).length;
      const processes = [server.process, ...devices.map(({ engine }) => engine)];
      const cpuBefore = processes.map(cpuMs);
      const since = (): Line[] => requestsIn(server.process.stderr).slice(before);
      const waited = (): Line[] => since().filter(({ ms = 0 }) => ms >= WAITED_MS);
      const what = "both waiting requests were answered by the end of their time";
      await until(() => waited().length >= devices.length, what, PATIENCE_MS);
      const routes = since().map(({ route }) => route);
      assert.deepEqual([...new Set(routes)], ["/v1/spaces/:space/changes"]);
      assert.ok(routes.length <= 2 * devices.length, `${routes.length} requests`);
      const cpu = processes.map((each, index) => cpuMs(each) - (cpuBefore[index] ?? 0));
      context.diagnostic(
        `CPU in that time: server ${cpu[0]} ms, devices ${cpu.slice(1).join(", ")}`,
      );
      assert.ok(Math.max(...cpu) < MOST_CPU_MS, `CPU ms: ${cpu.join(", ")}`);
      const mib = devices.map(({ engine }) => Math.round(residentMib(engine)));
      context.diagnostic(`memory of the devices: ${mib.join(", ")} MiB`);
      assert.ok(Math.max(...mib) < MOST_RESIDENT_MIB, `MiB: ${mib.join(", ")}`);
    },
  );
});
