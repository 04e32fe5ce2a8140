import assert from "node:assert/strict";
import { createCipheriv } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { concat, fromHex, toHex } from "#core/bytes.ts";
import { openWith, sealFor, type SharedKey } from "#platform/hpke.ts";

type Vector = {
  readonly mode: number;
  readonly info: string;
  readonly skRm: string;
  readonly pkRm: string;
  readonly enc: string;
  /** In PSK mode. */
  readonly psk?: string;
  readonly psk_id?: string;
  readonly key: string;
  readonly base_nonce: string;
  readonly encryption: { readonly aad: string; readonly pt: string; readonly ct: string };
};

const { vectors } = JSON.parse(
  readFileSync(new URL("../vectors/hpke-rfc9180.json", import.meta.url), "utf8"),
) as { readonly vectors: readonly Vector[] };

/** AES-256-GCM under a vector's own key and nonce, which the RFC has from its key schedule. */
function sealedUnder({ key, base_nonce: nonce, encryption }: Vector, aad: string): Uint8Array {
  const sealing = createCipheriv("aes-256-gcm", fromHex(key), fromHex(nonce));
  sealing.setAAD(fromHex(aad));
  const sealed = sealing.update(fromHex(encryption.pt));
  sealing.final();
  return concat([sealed, sealing.getAuthTag()]);
}

function sharedOf({ psk, psk_id: id }: Vector): SharedKey | undefined {
  return psk === undefined || id === undefined
    ? undefined
    : { psk: fromHex(psk), pskId: fromHex(id) };
}

describe("HPKE", () => {
  for (const vector of vectors) {
    const mode = vector.mode === 0 ? "base" : "PSK";
    const shared = sharedOf(vector);
    const { info, skRm, pkRm, enc, encryption } = vector;

    test(`SA12: what is sealed for a device is RFC 9180's, in ${mode} mode`, async () => {
      assert.equal(toHex(sealedUnder(vector, encryption.aad)), encryption.ct);
      // Ours has no associated data, so the published ciphertext is made once more without.
      const sealed = concat([fromHex(enc), sealedUnder(vector, "")]);
      const opened = await openWith(fromHex(skRm), sealed, fromHex(info), shared);
      assert.equal(toHex(opened), encryption.pt);
      const ours = await sealFor(fromHex(pkRm), fromHex(encryption.pt), fromHex(info), shared);
      assert.equal(ours.length, sealed.length);
      assert.equal(
        toHex(await openWith(fromHex(skRm), ours, fromHex(info), shared)),
        encryption.pt,
      );
    });

    test(`SA12: what is sealed in ${mode} mode opens for its device and purpose, whole or not at all`, async () => {
      const sealed = concat([fromHex(enc), sealedUnder(vector, "")]);
      const none = { code: "bad-seal" };
      for (let at = 0; at < sealed.length; at++) {
        const flipped = sealed.with(at, (sealed[at] ?? 0) ^ 1);
        await assert.rejects(openWith(fromHex(skRm), flipped, fromHex(info), shared), none);
      }
      for (const length of [0, 31, 32, 47, sealed.length - 1]) {
        const cut = sealed.slice(0, length);
        await assert.rejects(openWith(fromHex(skRm), cut, fromHex(info), shared), none);
      }
      await assert.rejects(openWith(fromHex(skRm), sealed, fromHex("00"), shared), none);
      await assert.rejects(openWith(fromHex(enc), sealed, fromHex(info), shared), none);
      const other = { psk: new Uint8Array(32).fill(7), pskId: shared?.pskId ?? fromHex("00") };
      await assert.rejects(openWith(fromHex(skRm), sealed, fromHex(info), other), none);
      if (shared !== undefined) {
        await assert.rejects(openWith(fromHex(skRm), sealed, fromHex(info)), none);
      }
    });
  }
});
