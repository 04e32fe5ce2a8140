import { cutKeyFrom, cutSizes } from "#chunking/cut.ts";
import { randomSample } from "#chunking/sample-bytes.ts";
import { utf8 } from "#core/bytes.ts";
import { deviceId } from "#core/ids.ts";
import { CURSOR_START } from "#protocol/feed.ts";
import type { Remote } from "#sync/ports.ts";
import { Draw } from "../../src/sim/chance.ts";
import type { Gate } from "../../src/sim/disk-doors.ts";
import { Past } from "../../src/sim/past.ts";
import { virtualClock } from "../../src/sim/virtual-clock.ts";
import { VirtualReader } from "../../src/sim/virtual-reader.ts";
import { VirtualRemote, type RemoteWorld } from "../../src/sim/virtual-remote.ts";
import { VirtualServer } from "../../src/sim/virtual-server.ts";
import { VirtualWatcher } from "../../src/sim/virtual-watcher.ts";
import { WireRemote } from "../../src/sim/wire-remote.ts";
import { chanceContract, clockContract } from "./clock-port.ts";
import { Dream } from "./dream.ts";
import { fileReaderContract } from "./file-reader.ts";
import { remoteContract, type RemoteUnderTest } from "./remote.ts";
import { watcherContract } from "./watcher.ts";

// The simulator's reader, watcher, remotes, clock and chance, held to what the real ones are held
// to.

const dream = new Dream();

fileReaderContract("a dreamed disk", async () => {
  const { scheduler, actor, time } = dream;
  const { disk, person } = dream.newDisk();
  const cutKey = randomSample(7, 48);
  const gate: Gate = (label, work) => scheduler.call(actor, label, work);
  const world = { disk, time, meet: () => {}, near: () => {} };
  return {
    reader: new VirtualReader(world, gate, cutKeyFrom(cutKey)),
    cutKey,
    // Small ones, so that small files have several.
    sizesFor: () => cutSizes(11),
    person: {
      makeFolder: (path) => dream.deed(person.makeFolder(path)),
      write: (path, bytes) => dream.deed(person.write(path, bytes)),
      async writeDated(path, bytes, mtimeSeconds) {
        await dream.deed(person.write(path, bytes));
        disk.setTimes(disk.expect(path), BigInt(mtimeSeconds) * 1_000_000_000n);
      },
      link: (path, target) => dream.deed(person.makeLink(path, target)),
      rename: (from, to) => dream.deed(person.rename(from, to)),
      remove: (path) => dream.deed(person.delete(path)),
      look: async (path) => disk.statOf(disk.expect(path)),
    },
    [Symbol.asyncDispose]: async () => {},
  };
});

watcherContract("a dreamed disk", async () => {
  const { scheduler, actor, draw } = dream;
  const { disk, person } = dream.newDisk();
  const faults = { lost: 0, latestMs: 0, overflow: 0, merges: true };
  return {
    watcher: new VirtualWatcher({ disk, scheduler, actor, lost: () => {} }, draw, () => faults),
    settled: () => dream.rest(),
    person: {
      write: (path, text) => dream.deed(person.write(path, utf8(text))),
      makeFolder: (path) => dream.deed(person.makeFolder(path)),
      rename: (from, to) => dream.deed(person.rename(from, to)),
      remove: (path) => dream.deed(person.delete(path)),
    },
    [Symbol.asyncDispose]: async () => {},
  };
});

async function openServer(kind: "memory" | "sqlite" | "http"): Promise<RemoteUnderTest> {
  const { scheduler, actor, draw, time } = dream;
  const clock = virtualClock(scheduler, actor, time);
  const server = await VirtualServer.open(clock, draw, {
    folding: true,
    sealed: null,
    server: kind,
  });
  const latestMs = 0;
  const faults = { lostRequest: 0, lostReply: 0, repeated: 0, latestMs, cutShort: 0 };
  const remoteOf = async (digit: string): Promise<Remote> => {
    const device = deviceId(digit.repeat(32));
    const world: RemoteWorld = {
      scheduler,
      server,
      past: new Past(),
      actor,
      device,
      draw,
      faults: () => ({ ...faults, pageEntries: 500 }),
      isCut: () => false,
      onCommit: () => {},
      onCall: () => {},
      traffic: { sentBytes: 0, fetchedBytes: 0 },
      accuse: (crime) => {
        throw new Error(crime);
      },
    };
    const token = await server.enrol(device, `device ${digit}`);
    return token === null ? new VirtualRemote(world) : new WireRemote(world, clock, token);
  };
  return {
    remote: await remoteOf("1"),
    other: await remoteOf("2"),
    start: CURSOR_START,
    [Symbol.asyncDispose]: async () => {},
  };
}

clockContract("a dreamed clock", virtualClock(dream.scheduler, dream.actor, dream.time));
chanceContract("a dreamed chance", new Draw(1, "chance"));

remoteContract("a dreamed line to a server's parts", () => openServer("memory"));
remoteContract("a dreamed line to a server's parts over its schema", () => openServer("sqlite"));
remoteContract("a dreamed line to a server's HTTP layer", () => openServer("http"));
