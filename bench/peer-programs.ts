// Lockstep and its peers, each with two folders that it keeps the same, for peers.ts.

import assert from "node:assert/strict";
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { CountingProxy } from "./counting-proxy.ts";
import { freePort, Machine, openScene } from "./machines.ts";

/** Two folders that a program keeps the same, and the line that A reaches the other end by. */
export type Side = AsyncDisposable & {
  readonly a: string;
  readonly b: string;
  readonly line: CountingProxy;
  /** Has a program that does not go on do its work once. */
  readonly run?: () => Promise<void>;
};

export type Peer = {
  readonly name: string;
  /** What has to be installed; null: nothing. */
  readonly program: string | null;
  readonly start: (outer: string) => Promise<Side>;
};

const POLL_MS = 20;
const PATIENCE_MS = 60_000;

class Processes implements AsyncDisposable {
  readonly #children: ChildProcess[] = [];

  start(program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): void {
    const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: "ignore" });
    this.#children.push(child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill("SIGTERM");
      await once(child, "exit");
    }
  }
}

async function run(program: string, args: readonly string[], env = {}): Promise<void> {
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: "ignore" });
  const [code] = (await once(child, "exit")) as [number | null];
  assert.equal(code, 0, `${program} ${args.join(" ")}`);
}

async function until(what: string, isTrue: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + PATIENCE_MS;
  while (!(await isTrue())) {
    assert.ok(performance.now() < endMs, `it never came true: ${what}`);
    await sleep(POLL_MS);
  }
}

async function untilListening(port: number): Promise<void> {
  await until(`something listens on port ${port}`, async () => {
    const socket = connect(port, "127.0.0.1");
    const isThere = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    });
    socket.destroy();
    return isThere;
  });
}

function folders(outer: string): { a: string; b: string } {
  const [a, b] = [join(outer, "A"), join(outer, "B")];
  for (const folder of [a, b]) fs.mkdirSync(folder, { recursive: true });
  return { a, b };
}

async function startLockstep(outer: string): Promise<Side> {
  await using stack = new AsyncDisposableStack();
  const { server, url, link } = await openScene(outer, false);
  stack.use(server);
  const line = stack.use(await CountingProxy.open(url));
  const [a, b] = ["A", "B"].map((name) => stack.use(new Machine(outer, name))) as [
    Machine,
    Machine,
  ];
  await link(a, "A", line.url);
  await link(b, "B");
  for (const machine of [a, b]) {
    machine.sync();
    await machine.inSync();
  }
  const all = stack.move();
  const close = (): Promise<void> => all.disposeAsync();
  return { a: a.folder, b: b.folder, line, [Symbol.asyncDispose]: close };
}

async function startRsync(outer: string): Promise<Side> {
  await using stack = new AsyncDisposableStack();
  const processes = stack.use(new Processes());
  const { a, b } = folders(outer);
  const port = await freePort();
  const line = stack.use(await CountingProxy.open(`http://127.0.0.1:${port}`));
  const config = join(outer, "rsyncd.conf");
  const owner = `uid = ${process.getuid?.() ?? 0}\ngid = ${process.getgid?.() ?? 0}\n`;
  fs.writeFileSync(config, `use chroot = no\n[b]\npath = ${b}\nread only = no\n${owner}`);
  const on = ["--daemon", "--no-detach", "--address=127.0.0.1", `--port=${port}`];
  processes.start("rsync", [...on, `--config=${config}`]);
  await untilListening(port);
  const at = new URL(line.url).host;
  const all = stack.move();
  return {
    a,
    b,
    line,
    run: () => run("rsync", ["-a", "--delete", `${a}/`, `rsync://${at}/b/`]),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

async function startUnison(outer: string): Promise<Side> {
  await using stack = new AsyncDisposableStack();
  const processes = stack.use(new Processes());
  const { a, b } = folders(outer);
  const port = await freePort();
  const line = stack.use(await CountingProxy.open(`http://127.0.0.1:${port}`));
  const homes = ["one", "other"].map((name) => ({ HOME: outer, UNISON: join(outer, name) }));
  for (const { UNISON: home } of homes) fs.mkdirSync(home);
  const [one = {}, other = {}] = homes;
  processes.start("unison", ["-socket", `${port}`, "-listen", "127.0.0.1"], other);
  await untilListening(port);
  const to = `socket://${new URL(line.url).host}/${b}`;
  const how = ["-batch", "-silent", "-ui", "text", "-times", "-confirmbigdel=false", "-log=false"];
  const all = stack.move();
  return {
    a,
    b,
    line,
    run: () => run("unison", [a, to, ...how], one),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

type Node = { readonly name: string; readonly id: string; readonly home: string };

/** A configuration without any service but the two nodes themselves. */
function syncthingConfig(
  self: Node,
  peer: Node,
  at: { folder: string; port: number; gui: number; dial: string },
): string {
  const off = ["globalAnnounce", "localAnnounce", "relays", "nat"];
  const watching = 'rescanIntervalS="3600" fsWatcherEnabled="true" fsWatcherDelayS="1"';
  return `<configuration version="36">
<folder id="bench" path="${at.folder}" ${watching}>
<device id="${self.id}"></device><device id="${peer.id}"></device></folder>
<device id="${self.id}" name="${self.name}"><address>dynamic</address></device>
<device id="${peer.id}" name="${peer.name}"><address>${at.dial}</address></device>
<gui enabled="true"><address>127.0.0.1:${at.gui}</address><apikey>bench</apikey></gui>
<options><listenAddress>tcp://127.0.0.1:${at.port}</listenAddress>
${off.map((name) => `<${name}Enabled>false</${name}Enabled>`).join("")}
<urAccepted>-1</urAccepted><autoUpgradeIntervalH>0</autoUpgradeIntervalH>
<crashReportingEnabled>false</crashReportingEnabled><setLowPriority>false</setLowPriority>
<startBrowser>false</startBrowser><reconnectionIntervalS>5</reconnectionIntervalS></options>
</configuration>`;
}

function makeNode(name: string, outer: string): Node {
  const home = join(outer, `home-${name}`);
  const quiet = { stdio: "ignore" } as const;
  execFileSync("syncthing", ["generate", `--home=${home}`, "--no-default-folder"], quiet);
  const id = execFileSync("syncthing", ["--device-id", `--home=${home}`], { encoding: "utf8" });
  return { name, home, id: id.trim() };
}

async function startSyncthing(outer: string): Promise<Side> {
  await using stack = new AsyncDisposableStack();
  const processes = stack.use(new Processes());
  const { a, b } = folders(outer);
  const nodes = ["A", "B"].map((name) => makeNode(name, outer));
  const ports = [await freePort(), await freePort()];
  const guis = [await freePort(), await freePort()];
  const line = stack.use(await CountingProxy.open(`http://127.0.0.1:${ports[1]}`));
  const dials = [`tcp://${new URL(line.url).host}`, "tcp://127.0.0.1:1"];
  for (const index of [1, 0]) {
    const [self, peer] = [nodes[index]!, nodes[1 - index]!];
    const folder = [a, b][index]!;
    const at = { folder, port: ports[index]!, gui: guis[index]!, dial: dials[index]! };
    fs.mkdirSync(join(folder, ".stfolder"));
    fs.writeFileSync(join(self.home, "config.xml"), syncthingConfig(self, peer, at));
    const how = ["--no-browser", "--no-restart", "--no-upgrade"];
    processes.start("syncthing", ["serve", `--home=${self.home}`, ...how]);
    await untilListening(ports[index]!);
  }
  await until("the two nodes are connected", () => isConnected(guis[0]!, nodes[1]!.id));
  const all = stack.move();
  return { a, b, line, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

type Connections = { readonly connections?: Record<string, { readonly connected: boolean }> };

async function isConnected(gui: number, peer: string): Promise<boolean> {
  try {
    const url = `http://127.0.0.1:${gui}/rest/system/connections`;
    const answer = await fetch(url, { headers: { "X-API-Key": "bench" } });
    const { connections } = (await answer.json()) as Connections;
    return connections?.[peer]?.connected === true;
  } catch {
    return false;
  }
}

export const PEERS: readonly Peer[] = [
  { name: "lockstep", program: null, start: startLockstep },
  { name: "syncthing", program: "syncthing", start: startSyncthing },
  { name: "unison", program: "unison", start: startUnison },
  { name: "rsync", program: "rsync", start: startRsync },
];
