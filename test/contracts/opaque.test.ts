import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { client, ready } from "@serenity-kit/opaque";
import { ristretto255 } from "@noble/curves/ed25519.js";
import { concat, fromHex, toHex, utf8 } from "#core/bytes.ts";
import { Opaque } from "../../src/server/opaque.ts";
import { argon2id, SecondOpaqueClient } from "./second-opaque.ts";
import { PASSWORD, ServerWorld } from "./server-world.ts";

await ready;

const EMPTY = new Uint8Array(0);
/** What the library is told in every sign-in of a test, and the other side has to know. */
const keyStretching = { "argon2id-custom": { iterations: 1, memory: 8, parallelism: 1 } };
const use = { stretch: argon2id(1, 8), context: EMPTY };

type Fields = Readonly<Record<string, string>>;
type Vector = {
  readonly inputs: Fields;
  readonly intermediates: Fields;
  readonly outputs: Fields;
  readonly context: string;
};

const { vectors } = JSON.parse(
  readFileSync(new URL("../vectors/opaque-rfc9807.json", import.meta.url), "utf8"),
) as { readonly vectors: readonly Vector[] };

function bytesOf(fields: Fields, name: string): Uint8Array {
  const text = fields[name];
  assert.ok(text !== undefined, name);
  return fromHex(text);
}

/** Our server with a vector's keys: what its library keeps is a seed, its key, and one of nobody's. */
function serverOf({ inputs }: Vector): Opaque {
  const kept = ["oprf_seed", "server_private_key", "server_public_key"];
  return new Opaque(base64(concat(kept.map((name) => bytesOf(inputs, name)))), "");
}

function clientOf({ inputs, context }: Vector): SecondOpaqueClient {
  const { client_identity: ours, server_identity: theirs } = inputs;
  return new SecondOpaqueClient(bytesOf(inputs, "password"), {
    stretch: (output) => output,
    context: fromHex(context),
    ...(ours === undefined ? {} : { clientIdentity: fromHex(ours) }),
    ...(theirs === undefined ? {} : { serverIdentity: fromHex(theirs) }),
  });
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64url");
const fromBase64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "base64url"));
const drawScalar = (): Uint8Array =>
  ristretto255.Point.Fn.toBytes(
    ristretto255.Point.Fn.create(BigInt(`0x${randomBytes(31).toString("hex")}`)),
  );

/** Signs in at the server with the second client; null where it does not believe the server. */
async function signIn(world: ServerWorld, account: string, password: string) {
  const opaque = new SecondOpaqueClient(utf8(password), use);
  const [blind, nonce, seed] = [drawScalar(), randomBytes(32), randomBytes(32)];
  const ke1 = opaque.start(blind, nonce, seed);
  const json = { account, startLoginRequest: base64(ke1) };
  const { loginResponse, state } = (await world.call("POST", "/v1/logins", { json })).json;
  const finished = opaque.finish(blind, seed, ke1, fromBase64(loginResponse));
  if (finished === null) return null;
  const proof = { kind: "password", state, finishLoginRequest: base64(finished.ke3) };
  const enrolled = await world.call("POST", "/v1/devices", { json: { proof, device: "second" } });
  return { status: enrolled.status, exportKey: base64(finished.exportKey) };
}

describe("OPAQUE", () => {
  for (const [at, vector] of vectors.entries()) {
    const { inputs, intermediates, outputs } = vector;
    const blinds = ["blind_registration", "blind_login"].map((name) => bytesOf(inputs, name));
    const [registering, signing] = blinds as [Uint8Array, Uint8Array];

    test(`AC3: the second client registers as RFC 9807 C.1.${at + 1} does`, () => {
      const opaque = clientOf(vector);
      assert.equal(toHex(opaque.blinded(registering)), outputs["registration_request"]);
      const response = bytesOf(outputs, "registration_response");
      const randomized = opaque.randomizedPassword(registering, response.slice(0, 32));
      assert.equal(toHex(randomized), intermediates["randomized_password"]);
      const nonce = bytesOf(inputs, "envelope_nonce");
      const { record, exportKey } = opaque.register(registering, response, nonce);
      assert.equal(toHex(record), outputs["registration_upload"]);
      assert.equal(toHex(exportKey), outputs["export_key"]);
    });

    test(`AC3: the second client signs in as RFC 9807 C.1.${at + 1} does`, () => {
      const opaque = clientOf(vector);
      const seed = bytesOf(inputs, "client_keyshare_seed");
      const ke1 = opaque.start(signing, bytesOf(inputs, "client_nonce"), seed);
      assert.equal(toHex(ke1), outputs["KE1"]);
      const ke2 = bytesOf(outputs, "KE2");
      const finished = opaque.finish(signing, seed, ke1, ke2);
      assert.ok(finished !== null);
      assert.equal(toHex(finished.ke3), outputs["KE3"]);
      assert.equal(toHex(finished.sessionKey), outputs["session_key"]);
      assert.equal(toHex(finished.exportKey), outputs["export_key"]);
      for (const byte of [0, 40, 100, 200, 300]) {
        const wrong = ke2.with(byte, (ke2[byte] ?? 0) ^ 1);
        // Not every 32 bytes are an element: then it throws, which is as good.
        try {
          assert.equal(opaque.finish(signing, seed, ke1, wrong), null);
        } catch (error) {
          assert.ok(!(error instanceof assert.AssertionError));
        }
      }
    });
  }

  for (const [at, vector] of vectors.entries()) {
    const { inputs, outputs } = vector;
    const account = Buffer.from(bytesOf(inputs, "credential_identifier")).toString();
    const seed = bytesOf(inputs, "client_keyshare_seed");

    test(`AC3: with its keys our server answers a registration as RFC 9807 C.1.${at + 1} does`, () => {
      const request = bytesOf(outputs, "registration_request");
      const response = serverOf(vector).register(account, base64(request));
      assert.ok(response !== null);
      assert.equal(toHex(fromBase64(response)), outputs["registration_response"]);
    });

    test(`AC3: who registered as RFC 9807 C.1.${at + 1} does signs in at our server, and no one else`, () => {
      const server = serverOf(vector);
      const password = bytesOf(inputs, "password");
      const opaque = new SecondOpaqueClient(password, { ...use, stretch: (output) => output });
      const envelope = bytesOf(inputs, "envelope_nonce");
      const blind = bytesOf(inputs, "blind_registration");
      const response = bytesOf(outputs, "registration_response");
      const { record } = opaque.register(blind, response, envelope);
      const ke1 = bytesOf(outputs, "KE1");
      const answer = server.startLogin(account, base64(ke1), base64(record));
      assert.ok(answer !== null);
      const ke2 = fromBase64(answer.loginResponse);
      // This part of the answer is the vector's; the rest is drawn anew.
      assert.equal(toHex(ke2.slice(0, 32)), outputs["KE2"]?.slice(0, 64));
      const finished = opaque.finish(bytesOf(inputs, "blind_login"), seed, ke1, ke2);
      assert.ok(finished !== null);
      assert.ok(server.finishLogin(answer.serverLoginState, base64(finished.ke3)));
      for (let byte = 0; byte < finished.ke3.length; byte++) {
        const wrong = finished.ke3.with(byte, (finished.ke3[byte] ?? 0) ^ 1);
        assert.ok(!server.finishLogin(answer.serverLoginState, base64(wrong)));
      }
    });
  }

  test("AC3: a client of RFC 9807 that is not ours signs in at the server, and has the same export key", async () => {
    await using world = await ServerWorld.open();
    await world.signUp("anna");
    const { clientLoginState, startLoginRequest } = client.startLogin({ password: PASSWORD });
    const json = { account: "anna", startLoginRequest };
    const { loginResponse } = (await world.call("POST", "/v1/logins", { json })).json;
    const said = { clientLoginState, loginResponse, password: PASSWORD, keyStretching };
    const ours = client.finishLogin(said);
    assert.ok(ours !== undefined);
    const signedIn = await signIn(world, "anna", PASSWORD);
    assert.deepEqual(signedIn, { status: 201, exportKey: ours.exportKey });
    assert.equal(await signIn(world, "anna", `${PASSWORD}!`), null);
    assert.equal(await signIn(world, "nobody", PASSWORD), null);
  });

  test("AC3: an account that a client of RFC 9807 made which is not ours opens with ours", async () => {
    await using world = await ServerWorld.open();
    const opaque = new SecondOpaqueClient(utf8(PASSWORD), use);
    const blind = drawScalar();
    const asked = { account: "bert", registrationRequest: base64(opaque.blinded(blind)) };
    const answer = await world.call("POST", "/v1/registrations", { json: asked });
    const response = fromBase64(answer.json.registrationResponse);
    const { record, exportKey } = opaque.register(blind, response, randomBytes(32));
    const json = {
      accountId: "b".repeat(32),
      account: "bert",
      registrationRecord: base64(record),
      recoveryKey: "0".repeat(64),
      bundle: "bundle",
      keyring: "keyring",
    };
    assert.equal((await world.call("POST", "/v1/accounts", { json })).status, 201);
    const { clientLoginState, startLoginRequest } = client.startLogin({ password: PASSWORD });
    const login = { account: "bert", startLoginRequest };
    const { loginResponse, state } = (await world.call("POST", "/v1/logins", { json: login })).json;
    const said = { clientLoginState, loginResponse, password: PASSWORD, keyStretching };
    const finished = client.finishLogin(said);
    assert.ok(finished !== undefined);
    assert.equal(finished.exportKey, base64(exportKey));
    const { finishLoginRequest } = finished;
    const proof = { kind: "password", state, finishLoginRequest };
    const enrolled = await world.call("POST", "/v1/devices", { json: { proof, device: "ours" } });
    assert.equal(enrolled.status, 201);
  });
});
