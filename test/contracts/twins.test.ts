import { isUtf8 } from "node:buffer";
import { utf8 } from "#core/bytes.ts";
import { foldName, plainNameKey } from "#core/names.ts";
import { Draw } from "../../src/sim/chance.ts";
import { DiskOracle } from "../../src/sim/disk-oracle.ts";
import { openDoors, type Gate } from "../../src/sim/disk-doors.ts";
import { MemoryMetadata } from "../../src/sim/memory-metadata.ts";
import { MemoryStore } from "../../src/sim/memory-store.ts";
import { Person } from "../../src/sim/people.ts";
import { Scheduler } from "../../src/sim/scheduler.ts";
import { MachineTime } from "../../src/sim/virtual-clock.ts";
import { VirtualDisk } from "../../src/sim/virtual-disk.ts";
import { SqliteAccounts } from "../../src/server/metadata/sqlite-accounts.ts";
import { SqliteFile } from "../../src/server/metadata/sqlite-file.ts";
import { diskContract, type DiskUnderTest } from "./disk.ts";
import { journalContract } from "./metadata.ts";
import { collectionContract } from "./metadata-collection.ts";
import { sealedRecordsContract } from "./sealed-records.ts";
import { treeStoreContract } from "./tree-store.ts";

// The simulator's side of the ports, held to what the real side is held to.

treeStoreContract("dreamed", async ({ folding }) => {
  const store = new MemoryStore(folding ? foldName : plainNameKey, null);
  return { trees: store, records: store, [Symbol.asyncDispose]: async () => store.close() };
});

sealedRecordsContract("dreamed", async () => {
  const store = new MemoryStore(foldName, null);
  return { records: store.sealed, trees: store, [Symbol.asyncDispose]: async () => store.close() };
});

async function openDreamedMetadata() {
  const { journals, chunks, scrub, collection } = new MemoryMetadata();
  const file = SqliteFile.open(":memory:");
  // A story's one account is nowhere: only spaces name it.
  const accounts = new SqliteAccounts(file);
  const close = async (): Promise<void> => file[Symbol.dispose]();
  const all = { accounts, journals, chunks, scrub, collection };
  const metadata = { ...all, [Symbol.asyncDispose]: close };
  return { metadata, peer: async () => metadata, [Symbol.asyncDispose]: close };
}

journalContract("dreamed", openDreamedMetadata);
collectionContract("dreamed", openDreamedMetadata);

diskContract("a dreamed disk", async () => {
  const nothing = (): void => {};
  const heard = { saved: nothing, killed: nothing, spread: nothing, tore: nothing };
  const witness = { ...heard, knows: () => true };
  const time = new MachineTime(new Scheduler(new Draw(1, "time"), 0));
  const disk = new VirtualDisk("disk", time, false, witness);
  const gate: Gate = async (_label, work) => work();
  const oracle = new DiskOracle({ name: "disk", disk, time, witness, accuse: nothing });
  const mood = {
    isSlowListing: () => true,
    shuffle: <T>(list: T[]): T[] => list.toReversed(),
    meet: nothing,
    accuse: nothing,
    near: nothing,
    lists: nothing,
    stats: nothing,
    isTorn: () => false,
    acts: nothing,
    oracle,
  };
  return {
    ...openDoors(disk, { turn: gate, glance: gate, atOnce: gate }, mood),
    person: personAt(disk, new Person(disk, witness, ["a"], nothing)),
    [Symbol.asyncDispose]: async () => {},
  };
});

function personAt(disk: VirtualDisk, person: Person): DiskUnderTest["person"] {
  const all = async (deed: Iterable<unknown>): Promise<void> => {
    for (const step of deed) void step;
  };
  return {
    write: (path, text) => all(person.write(path, utf8(text))),
    read: async (path) => new TextDecoder().decode(disk.expect(path).bytes),
    makeFolder: (path) => all(person.makeFolder(path)),
    link: (path, target) => all(person.makeLink(path, target)),
    rename: (from, to) => all(person.rename(from, to)),
    remove: (path) => all(person.delete(path)),
    writeNamed: async (name) => {
      disk.oddNames.push(shown(name));
    },
  };
}

/** Odd bytes as %XX, as a disk's listing shows them. */
function shown(name: Uint8Array): string {
  let text = "";
  for (let at = 0; at < name.length;) {
    const length = [1, 2, 3, 4].find((size) => isUtf8(name.subarray(at, at + size)));
    const piece = name.subarray(at, at + (length ?? 1));
    text += length ? new TextDecoder().decode(piece) : `%${Buffer.from(piece).toString("hex")}`;
    at += piece.length;
  }
  return text.replaceAll(/%[0-9a-f]{2}/gu, (odd) => odd.toUpperCase());
}
