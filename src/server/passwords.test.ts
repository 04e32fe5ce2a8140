import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { WorldError } from "#core/errors.ts";
import { MAX_HASHES_WAITING, PASSWORD_COST, Passwords } from "./passwords.ts";
import { realChance } from "./real-world.ts";

/** Hashes on another thread as the real cost does, but in milliseconds. */
const QUICK = { memoryKib: 2_048, passes: 1, parallelism: 1 };

async function medianMs(work: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < 9; round++) {
    const began = performance.now();
    await work();
    times.push(performance.now() - began);
  }
  return times.toSorted((left, right) => left - right)[4] ?? 0;
}

describe("passwords", () => {
  test("AC3: are stored as Argon2id of 64 MiB, three passes, one lane, in PHC form", async () => {
    assert.deepEqual(PASSWORD_COST, { memoryKib: 65_536, passes: 3, parallelism: 1 });
    const passwords = new Passwords(realChance);
    const stored = await passwords.hash("correct horse");
    assert.match(stored, /^\$argon2id\$v=19\$m=65536,t=3,p=1\$[\w+/]{22}\$[\w+/]{43}$/);
    assert.equal(await passwords.verify("correct horse", stored), true);
    assert.equal(await passwords.verify("correct horsf", stored), false);
    assert.notEqual(await new Passwords(realChance, QUICK).hash("a"), stored);
  });

  test("AC3: open whatever they were hashed with before the cost was raised", async () => {
    const stored = await new Passwords(realChance, QUICK).hash("pässword");
    const dearer = new Passwords(realChance, { ...QUICK, passes: 2 });
    assert.equal(await dearer.verify("pässword", stored), true);
    await assert.rejects(dearer.verify("x", "$argon2id$v=19$m=9999999999,t=1,p=1$AAAA$AAAA"));
  });

  test("AC2: of an account that does not exist take as long as wrong ones", async () => {
    const passwords = new Passwords(realChance, { ...QUICK, memoryKib: 8_192 });
    const stored = await passwords.hash("right");
    const wrong = await medianMs(() => passwords.verify("wrong", stored));
    const unknown = await medianMs(() => passwords.verify("wrong", undefined));
    assert.ok(unknown > wrong / 3 && unknown < wrong * 3, `${unknown} ms, ${wrong} ms`);
    assert.equal(await passwords.verify("", undefined), false);
  });

  test("AC10: are hashed two at a time; who would wait too long is sent away", async () => {
    const passwords = new Passwords(realChance, QUICK);
    const crowd = Array.from({ length: 2 + MAX_HASHES_WAITING + 3 }, () => passwords.hash("x"));
    const settled = await Promise.allSettled(crowd);
    const refused = settled.filter((one) => one.status === "rejected");
    assert.equal(refused.length, 3);
    for (const { reason } of refused) {
      assert.ok(reason instanceof WorldError && reason.retryable && reason.code === "unavailable");
    }
    assert.match(await passwords.hash("x"), /^\$argon2id/);
  });
});
