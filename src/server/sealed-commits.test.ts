import { strict as assert } from "node:assert";
import { test } from "node:test";
import { deviceId, ROOT_NODE } from "#core/ids.ts";
import { CHAIN_START, nextChain } from "#protocol/chain.ts";
import type { Change, Commit } from "#protocol/commit.ts";
import { MAX_BASE_AGE } from "#protocol/limits.ts";
import {
  createFolder,
  FIRST_KEYS,
  newChunk,
  newNode,
  stageChunks,
} from "../../test/contracts/tree.ts";
import { TreeWriter } from "../../test/contracts/tree-writer.ts";
import { nodeDigest } from "./digest.ts";
import { openSqliteMetadata } from "./metadata/sqlite.ts";

const SIGNATURE = "5".repeat(128);

async function open(keys = FIRST_KEYS) {
  const metadata = await openSqliteMetadata(":memory:");
  const writer = await TreeWriter.open(metadata, { keys });
  writer.device = deviceId("d".repeat(32));
  const signed = async (changes: Change[], more: Partial<Commit> = {}): Promise<Commit> => {
    return { ...(await writer.commitOf(changes)), keyEpoch: 1, signature: SIGNATURE, ...more };
  };
  return Object.assign(writer, {
    signed,
    /** `code` of the refusal of a commit, or `committed`. */
    told: async (commit: Commit): Promise<string> => {
      const answer = await writer.send(commit);
      return answer.outcome === "refused" ? answer.code : answer.outcome;
    },
    [Symbol.asyncDispose]: () => metadata[Symbol.asyncDispose](),
  });
}

type Create = Extract<Change, { kind: "create" }>;

/** What a device of a sealed space sends of a new file: nothing that the server could read. */
function sealedFile(more: Partial<Create> = {}): Create {
  const [name, key] = ["c2VhbGVk", "dG9rZW4" + newNode()];
  const node = newNode();
  const file = { kind: "create", type: "file", node, parent: ROOT_NODE, name, key } as const;
  return { ...file, meta: "b3BhcXVl", chunks: [], ...more };
}

test("SS1: names and contents of a sealed space are not read, their shape is checked", async () => {
  await using tree = await open();
  const [place] = await stageChunks(tree.metadata, tree.space, [10]);
  assert(place !== undefined);
  const file = sealedFile({ name: "../..", meta: "{", chunks: [place.id] });
  assert.equal(await tree.told(await tree.signed([file])), "committed");
  const { key: _, ...keyless } = sealedFile();
  const refused: Record<string, Change> = {
    "a name without a key": keyless,
    "lengths beside the chunks": sealedFile({ chunks: [place.id], lengths: [10] }),
    "a folder with chunks": sealedFile({ type: "folder", chunks: [place.id] }),
    "half a character": sealedFile({ meta: "\ud800" }),
    "half a character in a key": sealedFile({ key: "\ud800" }),
    "a NUL in a meta": sealedFile({ meta: "a\0b" }),
    "a NUL in a name": sealedFile({ name: "a\0b" }),
    "a NUL in a key": sealedFile({ key: "a\0b" }),
    "the root": sealedFile({ node: ROOT_NODE }),
  };
  for (const [what, change] of Object.entries(refused)) {
    assert.equal(await tree.told(await tree.signed([change])), "bad-change", what);
  }
  const twin = sealedFile({ key: file.key ?? "" });
  assert.equal(await tree.told(await tree.signed([twin])), "name-taken");
  const missing = await tree.send(await tree.signed([sealedFile({ chunks: [newChunk()] })]));
  assert.equal(missing.outcome, "missing-chunks");
});

test("SS2: a sealed space takes only what a device has signed, a plain one nothing signed", async () => {
  await using sealed = await open();
  for (const lacking of ["keyEpoch", "signature"] as const) {
    const { [lacking]: _, ...commit } = await sealed.signed([sealedFile()]);
    assert.equal(await sealed.told(commit), "bad-change", `no ${lacking}`);
  }
  const commit = await sealed.signed([sealedFile()]);
  sealed.device = undefined;
  assert.equal(await sealed.told(commit), "bad-change");
  await using plain = await open({ kind: "plain" });
  assert.equal(await plain.told(await plain.signed([createFolder("a")])), "bad-change");
});

test("SS3: an entry carries what was signed, and the chain covers it", async () => {
  await using tree = await open();
  const commit = await tree.signed([sealedFile()]);
  await tree.send(commit);
  const [entry] = await tree.metadata.journals.entries(tree.space.id, 0, 1);
  assert(entry !== undefined);
  const { changes: _, ...signed } = commit;
  const { base, keyEpoch, signature, commitId } = entry;
  assert.deepEqual({ base, keyEpoch, signature, commitId }, signed);
  const { chain, ...rest } = entry;
  assert.equal(nextChain(nodeDigest, CHAIN_START, rest), chain);
  const forged = { ...rest, signature: "6".repeat(128) };
  assert.notEqual(nextChain(nodeDigest, CHAIN_START, forged), chain);
});

test("SS4: after new keys began, what was closed or planned before is refused", async () => {
  await using tree = await open();
  await tree.send(await tree.signed([sealedFile()]));
  const before = await tree.signed([sealedFile()]);
  await tree.send(await tree.signed([sealedFile()]));
  assert.equal(await tree.metadata.journals.setKeyEpoch(tree.space.id, 2), true);
  assert.equal(await tree.told(before), "epoch-old");
  const late = { ...before, commitId: (await tree.signed([])).commitId, keyEpoch: 2 };
  assert.equal(await tree.told(late), "epoch-old");
  const early = await tree.signed([sealedFile()], { keyEpoch: 3 });
  assert.equal(await tree.told(early), "epoch-old");
  const fresh = await tree.signed([sealedFile()], { keyEpoch: 2 });
  assert.equal(await tree.told(fresh), "committed");
});

test("SS5: a base further back than devices remember is stale", async () => {
  await using tree = await open();
  const base = { sequence: 0, chain: CHAIN_START };
  for (let count = 0; count < MAX_BASE_AGE; count++) {
    await tree.send(await tree.signed([sealedFile()]));
  }
  assert.equal(await tree.told(await tree.signed([sealedFile()], { base })), "committed");
  assert.equal(await tree.told(await tree.signed([sealedFile()], { base })), "stale");
});
