import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { concat, fromHex, toHex, utf8 } from "#core/bytes.ts";

import { secondRistretto } from "../../test/contracts/second-primitives.ts";
import { flipped, openRistretto, primitives, refuses } from "../../test/contracts/sealing-world.ts";
import * as oprf from "./oprf.ts";

const world: oprf.OprfWorld = { ...primitives, ristretto: await openRistretto() };
const key = oprf.evaluationKey(world, 1, fromHex("11".repeat(32)));
const inputs = ["one", "two", "three"].map(utf8);

function ask(list = inputs): { question: oprf.Question; answer: Uint8Array } {
  const question = new oprf.Question(world, key, list);
  const answer = oprf.evaluate(world, key, oprf.readRequest(world, question.request));
  return { question, answer };
}

/** Draws scalars as they are told. */
function drawing(...scalars: readonly string[]): oprf.OprfWorld {
  const left = [...scalars];
  const bytes = (): Uint8Array => concat([fromHex(left.shift()!), new Uint8Array(32)]);
  return { ...world, chance: { bytes } };
}

// RFC 9497, appendix A.1.2.
const PUBLIC = "c803e2cc6b05fc15064549b5920659ca4a77b2cca6f04f6b357009335476ad4e";
const SECRET = "e6f73f344b79b379f1a0dd37e07ff62e38d9f71345ce62ae3a9bc60b04ccd909";
const FIRST_BLIND = "64d37aed22a27f5191de1c1d69fadb899d8862b58eb4220029e036ec4c1f6706";
const SECOND_BLIND = "222a5e897cf59db8145db8d16e597e8facb80ae7d4e26d9881aa6f61d645fc0e";
const OUTPUTS = [
  "b58cfbe118e0cb94d79b5fd6a6dafb98764dff49c14e1770b566e42402da1a7d" +
    "a4d8527693914139caee5bd03903af43a491351d23b430948dd50cde10d32b3c",
  "8a9a2f3c7f085b65933594309041fc1898d42d0858e59f90814ae90571a6df60" +
    "356f4610bf816f27afdd84f47719e480906d27ecd994985890e5f539e7ea74b6",
];
const published = [
  {
    inputs: ["00"],
    blinds: [FIRST_BLIND],
    blinded: ["863f330cc1a1259ed5a5998a23acfd37fb4351a793a5b3c090b642ddc439b945"],
    evaluated: ["aa8fa048764d5623868679402ff6108d2521884fa138cd7f9c7669a9a014267e"],
    random: SECOND_BLIND,
    proof:
      "ddef93772692e535d1a53903db24367355cc2cc78de93b3be5a8ffcc6985dd06" +
      "6d4346421d17bf5117a2a1ff0fcb2a759f58a539dfbe857a40bce4cf49ec600d",
    outputs: [OUTPUTS[0]],
  },
  {
    inputs: ["5a".repeat(17)],
    blinds: [FIRST_BLIND],
    blinded: ["cc0b2a350101881d8a4cba4c80241d74fb7dcbfde4a61fde2f91443c2bf9ef0c"],
    evaluated: ["60a59a57208d48aca71e9e850d22674b611f752bed48b36f7a91b372bd7ad468"],
    random: SECOND_BLIND,
    proof:
      "401a0da6264f8cf45bb2f5264bc31e109155600babb3cd4e5af7d181a2c9dc0a" +
      "67154fabf031fd936051dec80b0b6ae29c9503493dde7393b722eafdf5a50b02",
    outputs: [OUTPUTS[1]],
  },
  {
    inputs: ["00", "5a".repeat(17)],
    blinds: [FIRST_BLIND, SECOND_BLIND],
    blinded: [
      "863f330cc1a1259ed5a5998a23acfd37fb4351a793a5b3c090b642ddc439b945",
      "90a0145ea9da29254c3a56be4fe185465ebb3bf2a1801f7124bbbadac751e654",
    ],
    evaluated: [
      "aa8fa048764d5623868679402ff6108d2521884fa138cd7f9c7669a9a014267e",
      "cc5ac221950a49ceaa73c8db41b82c20372a4c8d63e5dded2db920b7eee36a2a",
    ],
    random: "419c4f4f5052c53c45f3da494d2b67b220d02118e0857cdbcf037f9ea84bbe0c",
    proof:
      "cc203910175d786927eeb44ea847328047892ddf8590e723c37205cb74600b0a" +
      "5ab5337c8eb4ceae0494c2cf89529dcf94572ed267473d567aeed6ab873dee08",
    outputs: OUTPUTS,
  },
];

test("SF10: keys, blinds, values, proofs and outputs are RFC 9497's, one by one and in a batch", () => {
  const pair = oprf.deriveKeyPair(world, fromHex("a3".repeat(32)), utf8("test key"));
  assert.equal(toHex(pair.secret), SECRET);
  assert.equal(toHex(pair.publicKey), PUBLIC);
  const theirs = { epoch: 9, ...pair };
  for (const { inputs, blinds, blinded, evaluated, random, proof, outputs } of published) {
    const question = new oprf.Question(drawing(...blinds), theirs, inputs.map(fromHex));
    assert.equal(toHex(question.request), `0009${`000${inputs.length}`}${blinded.join("")}`);
    const request = oprf.readRequest(world, question.request);
    const answer = oprf.evaluate(drawing(random), theirs, request);
    assert.equal(toHex(answer), evaluated.join("") + proof);
    assert.deepEqual(question.finish(answer).map(toHex), outputs);
  }
});

test("SF10: one input has one value in any batch and any order, and another key another", () => {
  const { question, answer } = ask();
  const [one, two, three] = question.finish(answer).map(toHex);
  const other = ask(inputs.toReversed());
  assert.deepEqual(other.question.finish(other.answer).map(toHex), [three, two, one]);
  const nextKey = oprf.evaluationKey(world, 2, fromHex("11".repeat(32)));
  const next = new oprf.Question(world, nextKey, inputs);
  const nextAnswer = oprf.evaluate(world, nextKey, oprf.readRequest(world, next.request));
  assert.notEqual(toHex(next.finish(nextAnswer)[0]!), one);
});

test("SF10: the key service is asked in a way that tells nothing of what is asked", () => {
  const bodies = [0, 1].map(() =>
    new oprf.Question(world, key, [utf8("same")]).request.subarray(4),
  );
  assert.notDeepEqual(bodies[0], bodies[1]);
});

test("SF10: a batch of 512 has one proof, and a larger one is not asked", () => {
  const batch = Array.from({ length: 512 }, (_, at) => utf8(`${at}`));
  const { question, answer } = ask(batch);
  assert.equal(question.request.length, 4 + 512 * 32);
  assert.equal(answer.length, 512 * 32 + 64);
  assert.equal(new Set(question.finish(answer).map(toHex)).size, 512);
  assert.throws(() => ask([...batch, utf8("one more")]), /batch of 513/);
  assert.throws(() => ask([]), /batch of 0/);
});

test("SF10: an answer with anything changed, repeated, swapped or left out is refused", () => {
  const { question, answer } = ask();
  for (const changed of flipped(answer)) refuses(() => question.finish(changed), "bad-evaluation");
  const piece = (at: number): Uint8Array => answer.subarray(at * 32, (at + 1) * 32);
  const proof = answer.subarray(96);
  const orders = [
    [1, 0, 2],
    [0, 0, 2],
    [0, 1],
    [0, 1, 2, 2],
  ];
  for (const order of orders) {
    const other = concat([...order.map(piece), proof]);
    refuses(() => question.finish(other), "bad-evaluation", order.join());
  }
  refuses(() => question.finish(ask().answer), "bad-evaluation");
  refuses(() => question.finish(concat([answer, new Uint8Array(1)])), "bad-evaluation");
  refuses(() => question.finish(new Uint8Array(0)), "bad-evaluation");
});

test("SF10: an answer made with another key than the pinned one is refused (T-DD-09)", () => {
  const question = new oprf.Question(world, key, inputs);
  const request = oprf.readRequest(world, question.request);
  const seed = fromHex("12".repeat(32));
  const { secret, publicKey } = oprf.evaluationKey(world, 1, seed);
  for (const wrong of [
    { epoch: 1, secret, publicKey },
    { epoch: 1, secret, publicKey: key.publicKey },
    { epoch: 1, secret: key.secret, publicKey },
  ]) {
    const answer = oprf.evaluate(world, wrong, request);
    refuses(() => question.finish(answer), "bad-evaluation");
  }
});

const IDENTITY = new Uint8Array(32);
const NEGATIVE = fromHex("01".padEnd(64, "0"));
const TOO_LARGE = fromHex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");

test("SF10: no point is taken that is the identity or not written as it has to be (T-DD-09)", () => {
  const { question, answer } = ask();
  for (const point of [IDENTITY, NEGATIVE, TOO_LARGE]) {
    const request = concat([
      question.request.subarray(0, 36),
      point,
      question.request.subarray(68),
    ]);
    refuses(() => oprf.readRequest(world, request), "bad-evaluation");
    const planted = concat([point, answer.subarray(32)]);
    refuses(() => question.finish(planted), "bad-evaluation");
    // Whatever a library does of such a point by itself.
    const noble = new oprf.Question({ ...world, ristretto: secondRistretto }, key, inputs);
    refuses(() => noble.finish(planted), "bad-evaluation");
    const pinned = { epoch: 1, publicKey: point };
    refuses(() => new oprf.Question(world, pinned, inputs), "bad-evaluation");
  }
});

test("SF10: a proof's numbers are below the order: no second proof is made of a first", () => {
  const { question, answer } = ask();
  const order = fromHex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
  for (const at of [96, 128]) {
    const bigger = answer.slice();
    let carry = 0;
    for (let byte = 0; byte < 32; byte++) {
      const sum = bigger[at + byte]! + order[byte]! + carry;
      bigger[at + byte] = sum;
      carry = sum >> 8;
    }
    refuses(() => question.finish(bigger), "bad-evaluation");
  }
  const zeros = concat([answer.subarray(0, 96), new Uint8Array(64)]);
  refuses(() => question.finish(zeros), "bad-evaluation");
});

test("SF10: a question that is not exactly of one to 512 points is refused", () => {
  const { request } = new oprf.Question(world, key, inputs);
  assert.equal(oprf.readRequest(world, request).blinded.length, 3);
  const head = (count: number): Uint8Array => Uint8Array.of(0, 1, count >> 8, count & 255);
  const points = Array.from({ length: 513 }, () => request.subarray(4, 36));
  for (const wrong of [
    new Uint8Array(0),
    head(0),
    request.subarray(0, request.length - 1),
    concat([request, new Uint8Array(1)]),
    concat([head(2), request.subarray(4)]),
    concat([head(4), request.subarray(4)]),
    concat([head(513), ...points]),
  ]) {
    refuses(() => oprf.readRequest(world, wrong), "bad-evaluation");
  }
  assert.equal(
    oprf.readRequest(world, concat([head(512), ...points.slice(1)])).blinded.length,
    512,
  );
});

test("SF10: libsodium's key service and noble's client understand each other, and the other way", () => {
  const noble = { ...world, ristretto: secondRistretto };
  for (const [client, service] of [
    [world, noble],
    [noble, world],
  ] as const) {
    const question = new oprf.Question(client, key, inputs);
    const answer = oprf.evaluate(service, key, oprf.readRequest(service, question.request));
    const own = ask();
    assert.deepEqual(question.finish(answer), own.question.finish(own.answer));
  }
});

test("SF16: any bytes at all are refused as a question and as an answer", () => {
  const { question } = ask();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      refuses(() => oprf.readRequest(world, bytes), "bad-evaluation");
      refuses(() => question.finish(bytes), "bad-evaluation");
    }),
  );
});
