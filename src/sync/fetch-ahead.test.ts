import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { chunkId, type ChunkId } from "#core/ids.ts";
import { chunkSecret } from "#crypto/keys.ts";
import type { SealedEntry } from "#crypto/chunk.ts";
import type { ChunkFrame } from "#protocol/frames.ts";
import { fetchAhead } from "./fetch-ahead.ts";

const MIB = 1024 * 1024;

/** Chunks that would fill two requests and a half, two in each. */
const ENTRIES = Array.from({ length: 5 }, (_, at): SealedEntry => {
  const chunk = chunkId(`${at}`.repeat(64));
  const secret = chunkSecret(new Uint8Array(32));
  return { chunk, secret, raw: chunk, lengthBytes: 4 * MIB, domain: "private", epoch: 1 };
});

/** A server that says what it was asked; each of its chunks is one byte, its place in ENTRIES. */
class Shelf {
  readonly events: string[] = [];
  readonly #answer: (asked: readonly ChunkId[]) => readonly ChunkId[];

  constructor(answer: (asked: readonly ChunkId[]) => readonly ChunkId[] = (asked) => asked) {
    this.#answer = answer;
  }

  async *fetch(asked: readonly ChunkId[], signal?: AbortSignal): AsyncGenerator<ChunkFrame> {
    const name = asked.map((id) => id[0]).join("");
    this.events.push(`asked ${name}`);
    try {
      for (const id of this.#answer(asked)) {
        signal?.throwIfAborted();
        yield { id, bytes: Uint8Array.of(Number(id[0])) };
      }
    } finally {
      this.events.push(`over ${name}`);
    }
  }
}

async function heard(shelf: Shelf, most = Infinity): Promise<(number | string)[]> {
  const all: (number | string)[] = [];
  try {
    for await (const bytes of fetchAhead(shelf, ENTRIES)) {
      all.push(bytes[0] ?? NaN);
      if (all.length === most) break;
    }
  } catch (error) {
    all.push(error instanceof Error ? error.message : String(error));
  }
  return all;
}

suite("chunks that are asked for ahead", () => {
  test("SL1: while one request is read the next one is under way, and no third", async () => {
    const shelf = new Shelf();
    assert.deepEqual(await heard(shelf), [0, 1, 2, 3, 4]);
    assert.deepEqual(shelf.events, [
      "asked 01",
      "asked 23",
      "over 01",
      "asked 4",
      "over 23",
      "over 4",
    ]);
  });

  test("SL1: an answer that ends early ends all, and what was asked ahead is left", async () => {
    const shelf = new Shelf((asked) => asked.slice(0, 1));
    assert.deepEqual(await heard(shelf), [0]);
    assert.deepEqual(shelf.events, ["asked 01", "asked 23", "over 01", "over 23"]);
  });

  test("SL1: whoever stops reading leaves every request", async () => {
    const shelf = new Shelf();
    assert.deepEqual(await heard(shelf, 1), [0]);
    assert.deepEqual(shelf.events.toSorted(), ["asked 01", "asked 23", "over 01", "over 23"]);
  });

  test("SL1: what was not asked for does not stand for what was", async () => {
    const shelf = new Shelf((asked) => [...asked, ...asked]);
    const sentence = "The server sent more chunks than it was asked for.";
    assert.deepEqual(await heard(shelf), [0, 1, sentence]);
  });
});
