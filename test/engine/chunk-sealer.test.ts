import assert from "node:assert/strict";
import { test } from "node:test";
import { WorldError } from "#core/errors.ts";
import { MIN_SHARED_BYTES, type SealedChunk } from "#crypto/chunk.ts";
import { chunkWorkHere } from "#crypto/chunk-work.ts";
import { MAX_BATCH } from "#crypto/oprf.ts";
import { primitives } from "../contracts/sealing-world.ts";
import { answerOf, CountingEvaluator, frameOf, keyring, OTHER_KEY } from "./sealed-world.ts";
import { virtualRistretto as ristretto } from "#sim/virtual-ristretto.ts";
import { ChunkSealer } from "#sync/chunk-sealer.ts";

const SMALL = new Uint8Array(MIN_SHARED_BYTES - 1).fill(1);

/** Chunks that may be shared, all different. */
function large(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, at) => {
    const bytes = new Uint8Array(MIN_SHARED_BYTES);
    new DataView(bytes.buffer).setUint32(0, at);
    return bytes;
  });
}

function sealer(service: CountingEvaluator, domain: "shared" | "private" = "shared") {
  const fallBacks: [string, number][] = [];
  const keys = keyring(domain);
  const work = chunkWorkHere(primitives);
  const world = {
    primitives,
    work,
    ristretto: async () => ristretto,
    keyService: service,
    keys: () => keys,
  };
  const onFallBack = (code: string, chunks: number): void => void fallBacks.push([code, chunks]);
  return { chunkSealer: new ChunkSealer({ ...world, onFallBack }), fallBacks };
}

function domains(chunks: readonly SealedChunk[]): string {
  return chunks.map(({ entry }) => entry.domain[0]).join("");
}

test("SL6: chunks are sealed in their order, those of 16 KiB and more for everybody", async () => {
  const service = new CountingEvaluator();
  const { chunkSealer } = sealer(service);
  const frames = [...large(1), SMALL, ...large(3).slice(1)].map(frameOf);
  const sealed = await chunkSealer.seal(frames);
  assert.equal(domains(sealed), "spss");
  assert.deepEqual(
    sealed.map(({ entry }) => entry.raw),
    frames.map(({ id }) => id),
  );
  assert.deepEqual(service.batches, [3]);
});

test("SL6: a private space asks the key service nothing", async () => {
  const service = new CountingEvaluator();
  const sealed = await sealer(service, "private").chunkSealer.seal(large(2).map(frameOf));
  assert.equal(domains(sealed), "pp");
  assert.deepEqual(service.batches, []);
});

test("SL6: of 513 chunks the key service is asked in two questions, and none is mixed up", async () => {
  const service = new CountingEvaluator();
  const { chunkSealer } = sealer(service);
  const frames = large(MAX_BATCH + 1).map(frameOf);
  const sealed = await chunkSealer.seal(frames);
  assert.deepEqual(service.batches, [MAX_BATCH, 1]);
  const [alone] = await chunkSealer.seal(frames.slice(MAX_BATCH));
  assert.equal(sealed.at(-1)?.entry.chunk, alone?.entry.chunk);
  assert.equal(new Set(sealed.map(({ entry }) => entry.chunk)).size, MAX_BATCH + 1);
});

for (const code of ["key-service-away", "too-many-evaluations"]) {
  test(`SL7: after ${code} what is left is sealed for the space alone, and it is told`, async () => {
    const service = new CountingEvaluator();
    service.meet = () => {
      if (service.batches.length < 2) return null;
      throw new WorldError(code, "Later.", { retryable: true });
    };
    const { chunkSealer, fallBacks } = sealer(service);
    const sealed = await chunkSealer.seal(large(MAX_BATCH + 2).map(frameOf));
    assert.equal(domains(sealed), `${"s".repeat(MAX_BATCH)}pp`);
    assert.deepEqual(fallBacks, [[code, 2]]);
  });
}

test("SL7: any other trouble with the key service seals nothing", async () => {
  const service = new CountingEvaluator();
  service.meet = () => {
    throw new WorldError("signed-out", "Who are you?");
  };
  await assert.rejects(sealer(service).chunkSealer.seal(large(1).map(frameOf)), {
    code: "signed-out",
  });
});

test("SL7: a key service that answers wrongly is not believed, and nothing is sealed (T-DD-09)", async () => {
  const lies: Record<string, CountingEvaluator["meet"]> = {
    "with another key": (asked) => answerOf(asked, OTHER_KEY),
    "in another order": (asked) => {
      const answer = answerOf(asked);
      const swapped = answer.slice();
      swapped.set(answer.subarray(0, 32), 32);
      swapped.set(answer.subarray(32, 64), 0);
      return swapped;
    },
    "with the identity": (asked) => answerOf(asked).fill(0, 0, 32),
    "with no element": (asked) => answerOf(asked).fill(0xff, 0, 32),
    "without its proof": (asked) => answerOf(asked).slice(0, -64),
    "with a flipped bit": (asked) => {
      const answer = answerOf(asked);
      answer[40]! ^= 1;
      return answer;
    },
    "about other inputs": (asked) => answerOf({ ...asked, blinded: asked.blinded.toReversed() }),
  };
  for (const [what, meet] of Object.entries(lies)) {
    const service = new CountingEvaluator();
    service.meet = meet;
    const { chunkSealer, fallBacks } = sealer(service);
    const sealing = chunkSealer.seal(large(2).map(frameOf));
    await assert.rejects(sealing, { code: "bad-evaluation" }, what);
    assert.deepEqual(fallBacks, []);
  }
});
