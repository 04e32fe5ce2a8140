import assert from "node:assert/strict";
import { createCipheriv } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { concat, fromHex, toHex } from "#core/bytes.ts";
import { openWith, sealFor } from "#platform/hpke.ts";

type Vector = {
  readonly mode: number;
  readonly info: string;
  readonly skRm: string;
  readonly pkRm: string;
  readonly enc: string;
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

describe("HPKE", () => {
  for (const vector of vectors.filter(({ mode }) => mode === 0)) {
    const { info, skRm, pkRm, enc, encryption } = vector;

    test("SA12: what is sealed for a device is RFC 9180's, in base mode", async () => {
      assert.equal(toHex(sealedUnder(vector, encryption.aad)), encryption.ct);
      // Ours has no associated data, so the published ciphertext is made once more without.
      const sealed = concat([fromHex(enc), sealedUnder(vector, "")]);
      const opened = await openWith(fromHex(skRm), sealed, fromHex(info));
      assert.equal(toHex(opened), encryption.pt);
      const ours = await sealFor(fromHex(pkRm), fromHex(encryption.pt), fromHex(info));
      assert.equal(ours.length, sealed.length);
      assert.equal(toHex(await openWith(fromHex(skRm), ours, fromHex(info))), encryption.pt);
    });

    test("SA12: what is sealed for a device opens for it and its purpose alone, whole or not at all", async () => {
      const sealed = concat([fromHex(enc), sealedUnder(vector, "")]);
      const none = { code: "bad-seal" };
      for (let at = 0; at < sealed.length; at++) {
        const flipped = sealed.with(at, (sealed[at] ?? 0) ^ 1);
        await assert.rejects(openWith(fromHex(skRm), flipped, fromHex(info)), none);
      }
      for (const length of [0, 31, 32, 47, sealed.length - 1]) {
        const cut = sealed.slice(0, length);
        await assert.rejects(openWith(fromHex(skRm), cut, fromHex(info)), none);
      }
      await assert.rejects(openWith(fromHex(skRm), sealed, fromHex("00")), none);
      await assert.rejects(openWith(fromHex(enc), sealed, fromHex(info)), none);
    });
  }
});
