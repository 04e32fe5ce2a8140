import assert from "node:assert/strict";
import { test } from "node:test";
import { concat, fromHex, toHex, utf8 } from "#core/bytes.ts";
import { flipped, primitives, refuses } from "../../test/contracts/sealing-world.ts";
import * as exchange from "./join-exchange.ts";
import { joinKeys } from "./keys.ts";

const SECRET = "7ZK2M0QWXA99TBCHJ4VE";
const NEAR = "7ZK2M0QWXA99TBCHJ4VF";

const { hashes } = primitives;
const keys = joinKeys(hashes, SECRET);
const nonce = fromHex("31".repeat(32));
const commitment = exchange.commitmentTo(hashes, nonce);
const asked = { publicKey: fromHex("32".repeat(32)), name: "büro" };
const request = exchange.writeRequest(hashes, keys, commitment, asked);
const talk = { commitment, request, nonce };
const transcript = exchange.transcriptOf(hashes, keys, talk);
const words = exchange.wordsOf(hashes, keys, transcript);

test("SA4: a request comes back as it was for whoever knows the code and made the promise", () => {
  assert.deepEqual(exchange.readRequest(hashes, keys, commitment, request), asked);
  const near = joinKeys(hashes, NEAR);
  refuses(() => exchange.readRequest(hashes, near, commitment, request), "bad-join");
  const other = exchange.commitmentTo(hashes, fromHex("33".repeat(32)));
  refuses(() => exchange.readRequest(hashes, keys, other, request), "bad-join");
});

test("T-KY-05: a request with any byte changed, cut off or added is refused", () => {
  const reading = (bytes: Uint8Array) => () =>
    exchange.readRequest(hashes, keys, commitment, bytes);
  for (const changed of flipped(request)) refuses(reading(changed), "bad-join");
  for (let length = 0; length < request.length; length++) {
    refuses(reading(request.subarray(0, length)), "bad-join", `${length} bytes`);
  }
  refuses(reading(concat([request, new Uint8Array(1)])), "bad-join");
});

test("T-KY-05: an answer that is not the promised one is refused", () => {
  for (const changed of flipped(nonce)) {
    refuses(() => exchange.transcriptOf(hashes, keys, { ...talk, nonce: changed }), "bad-join");
  }
  for (const broken of [nonce.subarray(1), new Uint8Array(0)]) {
    const lies = { ...talk, commitment: broken };
    refuses(() => exchange.transcriptOf(hashes, keys, lies), "bad-join");
  }
});

test("SA14: the words are of all that was said, and of the code", () => {
  assert.equal(words.length, 4);
  assert.ok(words.every((word) => Number.isInteger(word) && word >= 0 && word < 2_048));
  const seen = new Set([words.join()]);
  const others = [
    exchange.writeRequest(hashes, keys, commitment, { ...asked, name: "buro" }),
    exchange.writeRequest(hashes, keys, commitment, {
      ...asked,
      publicKey: fromHex("34".repeat(32)),
    }),
  ];
  for (const said of others) {
    const other = exchange.transcriptOf(hashes, keys, { ...talk, request: said });
    seen.add(exchange.wordsOf(hashes, keys, other).join());
  }
  seen.add(exchange.wordsOf(hashes, joinKeys(hashes, NEAR), transcript).join());
  const another = fromHex("35".repeat(32));
  const promised = { commitment: exchange.commitmentTo(hashes, another), nonce: another };
  const other = exchange.transcriptOf(hashes, keys, { ...talk, ...promised });
  seen.add(exchange.wordsOf(hashes, keys, other).join());
  assert.equal(seen.size, 5);
});

test("SA4: what the server has of a code does not tell it, nor the keys that come of it", () => {
  const { locator, proof, psk, words: shown } = keys;
  const all = [locator, proof, psk, shown].map(toHex);
  assert.equal(new Set(all).size, all.length);
  const near = joinKeys(hashes, NEAR);
  assert.notDeepEqual(near.locator, locator);
  for (const told of [locator, commitment, request, nonce]) {
    assert.ok(!Buffer.from(told).includes(utf8(SECRET)));
    for (const key of [proof, psk, shown]) assert.ok(!Buffer.from(told).includes(key));
  }
});
