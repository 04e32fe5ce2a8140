import assert from "node:assert/strict";
import { test } from "node:test";
import { fromHex, toHex } from "#core/bytes.ts";
import { commitId } from "#core/ids.ts";
import {
  DEVICE,
  flipped,
  OTHER_DEVICE,
  OTHER_SPACE,
  primitives,
  SPACE,
} from "../../test/contracts/sealing-world.ts";
import { checkCommit, signCommit, type CommitFacts, type CommitPlace } from "./journal.ts";
import { signingSeed } from "./keys.ts";

const seed = signingSeed(fromHex("11".repeat(32)));
const signingKey = primitives.signatures.publicKey(seed);
const chains = new Map([
  [0, "00".repeat(32)],
  [10, "aa".repeat(32)],
  [12, "bb".repeat(32)],
]);
const facts: CommitFacts = {
  space: SPACE,
  commit: commitId("e1".repeat(16)),
  device: DEVICE,
  epoch: 2,
  base: { sequence: 12, chain: "bb".repeat(32) },
  changes: fromHex("cc".repeat(32)),
};
const place: CommitPlace = {
  signingKey,
  epoch: { number: 2, since: 11 },
  chainAt: (sequence) => chains.get(sequence),
};
const signature = signCommit(primitives, seed, facts);
const check = (
  said: Partial<CommitFacts> = {},
  at: Partial<CommitPlace> = {},
  text = signature,
): string => checkCommit(primitives, { ...facts, ...said }, text, { ...place, ...at });

test("SF14: a commit is sound where its device meant it to be", () => {
  assert.match(signature, /^[0-9a-f]{128}$/);
  assert.equal(check(), "sound");
});

test("SF14: a commit of which a server changed anything is not its device's", () => {
  const changes: Readonly<Record<string, Partial<CommitFacts>>> = {
    space: { space: OTHER_SPACE },
    commit: { commit: commitId("e2".repeat(16)) },
    device: { device: OTHER_DEVICE },
    epoch: { epoch: 1 },
    "base's sequence": { base: { ...facts.base, sequence: 13 } },
    "base's chain": { base: { ...facts.base, chain: "ab".repeat(32) } },
    changes: { changes: fromHex("cd".repeat(32)) },
  };
  for (const [what, said] of Object.entries(changes)) {
    assert.equal(check(said), "bad-signature", what);
  }
  for (const changed of flipped(fromHex(signature))) {
    assert.equal(check({}, {}, toHex(changed)), "bad-signature");
  }
  for (const text of ["", "zz", signature.slice(2), `${signature}00`, signature.toUpperCase()]) {
    assert.equal(check({}, {}, text), "bad-signature", text);
  }
});

test("SF14: a commit in a place that its device did not mean is refused, each with its reason", () => {
  const other = primitives.signatures.publicKey(signingSeed(fromHex("12".repeat(32))));
  assert.equal(check({}, { signingKey: undefined }), "unknown-device");
  assert.equal(check({}, { signingKey: other }), "bad-signature");
  assert.equal(check({}, { epoch: { number: 3, since: 11 } }), "other-epoch");
  assert.equal(check({}, { epoch: { number: 2, since: 13 } }), "base-before-epoch");
  assert.equal(check({}, { chainAt: () => undefined }), "unknown-base");
  assert.equal(check({}, { chainAt: () => "cc".repeat(32) }), "other-base");
});

test("SF14: the first commit of a journal is planned on nothing", () => {
  const first = { ...facts, epoch: 1, base: { sequence: 0, chain: "00".repeat(32) } };
  const text = signCommit(primitives, seed, first);
  const at = { ...place, epoch: { number: 1, since: 0 } };
  assert.equal(checkCommit(primitives, first, text, at), "sound");
});
