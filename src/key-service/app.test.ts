import assert from "node:assert/strict";
import { test } from "node:test";
import { concat, fromHex, toHex, utf8 } from "#core/bytes.ts";
import { Question, type OprfWorld } from "#crypto/oprf.ts";
import { systemPrimitives } from "#platform/primitives.ts";
import { openRistretto } from "#platform/ristretto.ts";
import { ACCOUNT_HEADER, EvaluationFault, EvaluationKeys } from "#protocol/evaluations.ts";
import { StandingClock } from "../../test/contracts/clock.ts";
import { buildKeyApp } from "./app.ts";
import { Budget, FREE_A_DAY } from "./budget.ts";

const world: OprfWorld = { ...systemPrimitives, ristretto: await openRistretto() };
const ANNA = "a1".repeat(16);
const SEEDS = new Map([2, 1].map((epoch) => [epoch, new Uint8Array(32).fill(epoch)]));

function open() {
  const clock = new StandingClock();
  const ledger = { known: new Map(), record: async () => {}, forget: () => {} };
  const app = buildKeyApp(world, SEEDS, new Budget(clock, ledger));
  const ask = async (question: Uint8Array, account = ANNA): Promise<Response> =>
    app.request("/evaluations", {
      method: "POST",
      headers: { [ACCOUNT_HEADER]: account },
      body: new Uint8Array(question),
    });
  return { clock, app, ask };
}

async function keysOf(app: ReturnType<typeof open>["app"]) {
  const { keys } = EvaluationKeys.parse(await (await app.request("/keys")).json());
  return keys.map(({ epoch, publicKey }) => ({ epoch, publicKey: fromHex(publicKey) }));
}

const faultOf = async (response: Response) => EvaluationFault.parse(await response.json()).code;
const inputs = Array.from({ length: 512 }, (_, at) => utf8(`${at}`));

test("KS1: a question of up to 512 inputs is answered with the key of its epoch, provably", async () => {
  const { app, ask } = open();
  const keys = await keysOf(app);
  assert.deepEqual(
    keys.map(({ epoch }) => epoch),
    [1, 2],
  );
  const values: string[] = [];
  for (const key of keys) {
    const question = new Question(world, key, inputs.slice(0, 3));
    const response = await ask(question.request);
    assert.equal(response.status, 200);
    values.push(toHex(question.finish(new Uint8Array(await response.arrayBuffer()))[0]!));
  }
  assert.notEqual(values[0], values[1]);
  const all = new Question(world, keys[1]!, inputs);
  const answer = new Uint8Array(await (await ask(all.request)).arrayBuffer());
  const finished = all.finish(answer);
  assert.equal(finished.length, 512);
  assert.equal(toHex(finished[0]!), values[1]);
});

test("KS1: what is no question, of no key, or for nobody, is refused with its reason", async () => {
  const { app, ask } = open();
  const [key] = await keysOf(app);
  const { request } = new Question(world, key!, inputs.slice(0, 3));
  const identity = concat([request.subarray(0, 36), new Uint8Array(32), request.subarray(68)]);
  for (const body of [new Uint8Array(0), request.subarray(1), request.subarray(0, 50), identity]) {
    const response = await ask(body);
    assert.ok([400, 410].includes(response.status));
  }
  assert.equal(await faultOf(await ask(identity)), "bad-request");
  const retired = await ask(request.with(1, 9));
  assert.equal(retired.status, 410);
  assert.equal(await faultOf(retired), "unknown-epoch");
  assert.equal(await faultOf(await ask(new Uint8Array(17_000))), "bad-request");
  for (const account of ["", "anna", ANNA.toUpperCase()]) {
    assert.equal(await faultOf(await ask(request, account)), "bad-request");
  }
  assert.equal((await app.request("/elsewhere")).status, 404);
});

test("KS2, KS3: beyond its budget a question is refused with 429 and when to ask again (T-DD-08)", async () => {
  const { app, ask, clock } = open();
  const [key] = await keysOf(app);
  const { request } = new Question(world, key!, inputs);
  assert.equal((await ask(request)).status, 200);
  assert.equal((await ask(request)).status, 200);
  const refused = await ask(request);
  assert.equal(refused.status, 429);
  assert.equal(await faultOf(refused), "too-many-evaluations");
  const retryAfter = Number(refused.headers.get("retry-after"));
  assert.ok(retryAfter >= 1 && retryAfter <= 2, `${retryAfter}`);
  clock.advance(retryAfter * 1_000);
  assert.equal((await ask(request)).status, 200);
});

test("KS3: what the server says was newly accepted can be spent", async () => {
  const { app, ask, clock } = open();
  const [key] = await keysOf(app);
  const { request } = new Question(world, key!, inputs.slice(0, 1));
  // Malformed questions count as well: they would have cost work.
  const spend = request.slice();
  let asked = 0;
  for (
    ;
    (await ask(concat([spend, new Uint8Array(16_000)]))).status !== 429;
    clock.advance(1_100)
  ) {
    asked += 501;
  }
  assert.ok(asked > FREE_A_DAY - 600 && asked <= FREE_A_DAY, `${asked}`);
  const credit = (acceptedBytes: unknown): Promise<Response> =>
    Promise.resolve(
      app.request("/credits", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ account: ANNA, acceptedBytes }),
      }),
    );
  assert.equal((await credit(1_000 * 64 * 1_024)).status, 204);
  assert.notEqual((await ask(concat([spend, new Uint8Array(16_000)]))).status, 429);
  for (const wrong of [-1, 1.5, "1", null]) assert.equal((await credit(wrong)).status, 400);
});
