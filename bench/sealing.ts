// How fast contents, names and metas are sealed and opened, beside the bare primitives in the same
// run: `node_modules/.bin/node bench/sealing.ts`. A thread's processor time, best of some rounds.

import { randomSample, textSample } from "#chunking/sample-bytes.ts";
import { utf8 } from "#core/bytes.ts";
import { contentHash, nodeId, spaceId } from "#core/ids.ts";
import * as chunk from "#crypto/chunk.ts";
import { rootKey, spaceKeys } from "#crypto/keys.ts";
import { openMeta, sealMeta, type SealedMeta } from "#crypto/meta.ts";
import { openName, sealName } from "#crypto/names.ts";
import { evaluate, evaluationKey, Question, readRequest } from "#crypto/oprf.ts";
import { systemPrimitives as primitives } from "#platform/primitives.ts";
import { openRistretto } from "#platform/ristretto.ts";

const ROUNDS = 5;
const ROUND_SECONDS = 0.12;

/** Seconds that this thread has had a processor: what others do on the machine counts little. */
function ownSeconds(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1e6;
}

/** Best seconds of one call. */
function seconds(work: () => void): number {
  let best = Infinity;
  work();
  for (let round = 0; round < ROUNDS; round++) {
    let calls = 0;
    const began = ownSeconds();
    do {
      work();
      calls++;
    } while (ownSeconds() - began < ROUND_SECONDS);
    best = Math.min(best, (ownSeconds() - began) / calls);
  }
  return best;
}

function megabytes(name: string, bytes: number, work: () => void): void {
  print(name, `${(bytes / 1e6 / seconds(work)).toFixed(0)} MB/s`);
}

function times(name: string, work: () => void): void {
  print(name, `${(1 / seconds(work)).toFixed(0)} a second`);
}

function print(name: string, result: string): void {
  process.stdout.write(`${name.padEnd(48)}${result.padStart(18)}\n`);
}

const space = spaceId("11".repeat(16));
const keys = spaceKeys(primitives.hashes, space, 1, rootKey(randomSample(1, 32)));
const sealing = { key: keys.content, epoch: keys.epoch };
const evaluated = randomSample(3, 64);

for (const kib of [64, 256, 1024]) {
  for (const [kind, raw] of [
    ["random", randomSample(kib, kib * 1024)],
    ["text", textSample(kib, kib * 1024)],
  ] as const) {
    const name = `${kib} KiB of ${kind}`;
    const { hashes, cipher, compression } = primitives;
    const use = {
      key: evaluated.subarray(0, 32),
      nonce: new Uint8Array(12),
      associated: utf8("associated"),
    };
    const into = new Uint8Array(raw.length + 16);
    megabytes(`${name}: bare SHA-256`, raw.length, () => void hashes.sha256([raw]));
    megabytes(`${name}: bare AES-256-GCM`, raw.length, () => cipher.seal(use, [raw], into));
    megabytes(`${name}: bare zstd`, raw.length, () => void compression.compress(raw));
    const own = chunk.sealPrivate(primitives, sealing, raw);
    const shared = chunk.sealShared(primitives, chunk.frameShared(primitives, 1, raw), evaluated);
    megabytes(`${name}: seal private`, raw.length, () => {
      chunk.sealPrivate(primitives, sealing, raw);
    });
    megabytes(`${name}: seal shared but for the OPRF`, raw.length, () => {
      chunk.sealShared(primitives, chunk.frameShared(primitives, 1, raw), evaluated);
    });
    megabytes(`${name}: open private`, raw.length, () => {
      chunk.openChunk(primitives, own.entry, own.stored);
    });
    megabytes(`${name}: open shared`, raw.length, () => {
      chunk.openChunk(primitives, shared.entry, shared.stored);
    });
  }
}

const node = nodeId("22".repeat(16));
const parent = nodeId("33".repeat(16));
const place = { node, parent, follows: 7, folding: true };
const epochs = new Map([[keys.epoch, keys]]);
const { entry } = chunk.sealPrivate(primitives, sealing, randomSample(9, 9_000));
const sha256 = contentHash("44".repeat(32));
const meta: SealedMeta = {
  kind: "file",
  executable: false,
  mtimeMs: 1_780_000_000_000,
  body: { kind: "chunks", manifest: { level: 0, sizeBytes: 9_000, sha256, entries: [entry] } },
};
const name = "A letter of some length.txt";
const sealedName = sealName(primitives, keys, place, name);
const sealedMeta = sealMeta(primitives, keys, place, meta);
times("names sealed", () => void sealName(primitives, keys, place, name));
times("names opened", () => void openName(primitives, epochs, place, sealedName.name));
times("metas sealed", () => void sealMeta(primitives, keys, place, meta));
times("metas opened", () => void openMeta(primitives, epochs, place, sealedMeta));
print("a name on the wire", `${sealedName.name.length} + ${sealedName.key.length} bytes`);
print("a meta with one chunk on the wire", `${sealedMeta.length} bytes`);

const world = { ...primitives, ristretto: await openRistretto() };
const serviceKey = evaluationKey(world, 1, randomSample(5, 32));
const inputs = Array.from({ length: 256 }, (_, at) => randomSample(at, 32));
const question = new Question(world, serviceKey, inputs);
const asked = readRequest(world, question.request);
const answer = evaluate(world, serviceKey, asked);
function perElement(what: string, work: () => void): void {
  print(`OPRF in batches of 256: ${what}`, `${((seconds(work) * 1e3) / 256).toFixed(3)} ms each`);
}
perElement("blind", () => void new Question(world, serviceKey, inputs));
perElement("verify and finish", () => void question.finish(answer));
perElement("read and check a request", () => void readRequest(world, question.request));
perElement("evaluate with proof", () => void evaluate(world, serviceKey, asked));
