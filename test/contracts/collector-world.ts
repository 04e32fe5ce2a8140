import { strict as assert } from "node:assert";
import { toHex, utf8 } from "#core/bytes.ts";
import { chunkId, deviceId, type ChunkId, type NodeId } from "#core/ids.ts";
import type { Chance } from "#core/world.ts";
import type { Change, Commit, CommitAnswer } from "#protocol/commit.ts";
import type { ChunkFrame } from "#protocol/frames.ts";
import { nameChunks } from "#protocol/kept-chunks.ts";
import { MemoryPacks } from "../../src/server/chunks/memory.ts";
import { Collector, type CollectorRules } from "../../src/server/collector.ts";
import { nodeDigest } from "../../src/server/digest.ts";
import { Intake } from "../../src/server/intake.ts";
import type { Collection } from "../../src/server/metadata/collection.ts";
import type { Metadata } from "../../src/server/metadata/port.ts";
import { openSqliteMetadata } from "../../src/server/metadata/sqlite.ts";
import { MemoryMetadata } from "../../src/sim/memory-metadata.ts";
import { StandingClock } from "./clock.ts";
import { createFile, fileOf, FIRST_KEYS, remove } from "./tree.ts";
import { TreeWriter } from "./tree-writer.ts";

/** Different ones every time, and the same in every run. */
function counting(): Chance {
  let count = 0;
  return {
    bytes: (length) => {
      count++;
      return new Uint8Array(length).map((_, at) => (count >> (8 * (at % 2))) & 0xff);
    },
  };
}

const SILENT = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** Everything outlives a second, and nothing is waited for longer than that. */
export const HASTY: CollectorRules = {
  retention: { allMs: 1_000, dailyMs: 1_000 },
  graceMs: 1_000,
  packGraceMs: 1_000,
  strayMs: 10_000,
  manySmallPacks: 16,
};

function frameOf(bytes: Uint8Array): ChunkFrame {
  return { id: chunkId(toHex(nodeDigest.sha256(bytes))), bytes };
}

async function* streamOf(frames: readonly ChunkFrame[]): AsyncGenerator<ChunkFrame> {
  yield* frames;
}

/** Called before each call of a collector on its database; what it throws ends the collector. */
export type Between = (call: string) => Promise<void>;

function watched<T extends object>(port: T, between: Between): T {
  return new Proxy(port, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name);
      if (typeof method !== "function") return method;
      return async (...values: unknown[]) => {
        await between(String(name));
        return Reflect.apply(method, target, values) as Promise<unknown>;
      };
    },
  });
}

let accounts: Promise<Metadata> | undefined;

/** Accounts are not what this is about: one database has them for all. */
async function dreamed(): Promise<Metadata> {
  const shared = await (accounts ??= openSqliteMetadata(":memory:"));
  const { journals, chunks, scrub, collection } = new MemoryMetadata();
  const all = { accounts: shared.accounts, journals, chunks, scrub, collection };
  return { ...all, [Symbol.asyncDispose]: async () => {} };
}

/** A server's parts over memory, somebody who commits to a sealed space, and a collector. */
export class CollectorWorldUnderTest implements AsyncDisposable {
  readonly metadata: Metadata;
  readonly writer: TreeWriter;
  readonly packs = new MemoryPacks();
  readonly clock = new StandingClock();
  readonly intake: Intake;
  readonly #chance = counting();
  #names = 0;
  /** What a collector does between pages. */
  rest: (() => Promise<void>) | undefined = undefined;

  private constructor(metadata: Metadata, writer: TreeWriter) {
    this.metadata = metadata;
    this.writer = writer;
    writer.device = deviceId("d".repeat(32));
    writer.nowMs = this.clock.nowMs();
    const { chunks, scrub } = metadata;
    this.intake = new Intake({
      packs: this.packs,
      chunks,
      scrub,
      digest: nodeDigest,
      chance: this.#chance,
    });
  }

  /** `dreamed` is the simulator's twin of the database, which opens in no time. */
  static async open(kind: "sqlite" | "dreamed" = "sqlite"): Promise<CollectorWorldUnderTest> {
    const metadata = kind === "sqlite" ? await openSqliteMetadata(":memory:") : await dreamed();
    return CollectorWorldUnderTest.over(metadata);
  }

  /** Over a database of the caller's. */
  static async over(metadata: Metadata): Promise<CollectorWorldUnderTest> {
    const writer = await TreeWriter.open(metadata, { keys: FIRST_KEYS });
    return new CollectorWorldUnderTest(metadata, writer);
  }

  get collection(): Collection {
    return this.metadata.collection;
  }

  collector(rules: CollectorRules = HASTY, between: Between = async () => {}): Collector {
    const { links, packs } = this.collection;
    return new Collector(
      {
        journals: this.metadata.journals,
        scrub: this.metadata.scrub,
        collection: { links: watched(links, between), packs: watched(packs, between) },
        packs: this.packs,
        clock: this.clock,
        chance: this.#chance,
        digest: nodeDigest,
        log: SILENT,
        ...(this.rest === undefined ? {} : { rest: this.rest }),
      },
      rules,
    );
  }

  /** One run, which has to come to its end, some time later. */
  async collect(laterMs = 2_000, rules: CollectorRules = HASTY) {
    this.advance(laterMs);
    const report = await this.collector(rules).run();
    assert(report !== "busy");
    return report;
  }

  advance(byMs: number): void {
    this.clock.advance(byMs);
    this.writer.nowMs = this.clock.nowMs();
  }

  /** Sends chunks, all in one pack; their bytes are the texts. */
  async send(...texts: readonly string[]): Promise<ChunkId[]> {
    const frames = texts.map((text) => frameOf(utf8(text)));
    await this.intake.store(this.writer.space.id, streamOf(frames), this.clock.nowMs());
    await this.intake.idle();
    return frames.map(({ id }) => id);
  }

  async try(change: Change): Promise<CommitAnswer> {
    const signed: Partial<Commit> = { keyEpoch: 1, signature: "5".repeat(128) };
    return this.writer.send({ ...(await this.writer.commitOf([change])), ...signed });
  }

  async land(change: Change): Promise<number> {
    const answer = await this.try(change);
    assert(answer.outcome === "committed", JSON.stringify(answer));
    return answer.sequence;
  }

  /** A file that needs these chunks. */
  async create(chunks: readonly ChunkId[]): Promise<NodeId> {
    const name = `name ${++this.#names}`;
    const { lengths: _, ...file } = { ...createFile(name, undefined, fileOf()), key: name };
    await this.land({ ...file, chunks: [...chunks] });
    return file.node;
  }

  /** A file's next content; what it shares with the one before is kept without being named. */
  async updateOf(node: NodeId, chunks: readonly ChunkId[]): Promise<Change> {
    const [row] = await this.metadata.journals.nodes(this.writer.space.id, [node]);
    assert(row !== undefined);
    const { meta } = fileOf();
    const named = nameChunks(nodeDigest, row.chunks, [...chunks]);
    return { kind: "update", node, crev: row.crev, meta, ...named };
  }

  async update(node: NodeId, chunks: readonly ChunkId[]): Promise<void> {
    await this.land(await this.updateOf(node, chunks));
  }

  async remove(node: NodeId): Promise<void> {
    const [row] = await this.metadata.journals.nodes(this.writer.space.id, [node]);
    assert(row !== undefined);
    await this.land(remove(node, row.crev, row.lrev));
  }

  /** Every version that is not forgotten can be read, every chunk of it. */
  async expectWhole(when: string): Promise<void> {
    const { id: space } = this.writer.space;
    for (const content of await this.collection.links.contents(space, 10_000)) {
      const frames = await Array.fromAsync(await this.intake.fetch(space, content.chunks));
      assert.equal(frames.length, content.chunks.length, when);
    }
  }

  /** Bytes of all stored objects. */
  async storedBytes(): Promise<number> {
    const rows = await this.collection.packs.packs(10_000);
    const names = new Set(await Array.fromAsync(this.packs.list()));
    return rows.filter(({ name }) => names.has(name)).reduce((sum, row) => sum + row.sizeBytes, 0);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve(this.metadata[Symbol.asyncDispose]());
  }
}
