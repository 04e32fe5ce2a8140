import { createCipheriv, createDecipheriv, hkdfSync } from "node:crypto";
import { utf8 } from "#core/bytes.ts";
import { WorldError } from "#core/errors.ts";
import type { Chance } from "#core/world.ts";

const CIPHER = "aes-256-gcm";
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** What a text is closed for: it opens for nothing else. */
type Purpose = "opaque setup" | "login state";

/**
 * Closes texts that the server gives away or keeps in its database, with keys that come of the
 * master key: AES-256-GCM under a random nonce, one key a purpose. As base64url.
 */
export class Secrets {
  readonly #masterKey: Uint8Array;
  readonly #chance: Chance;

  constructor(masterKey: Uint8Array, chance: Chance) {
    this.#masterKey = masterKey;
    this.#chance = chance;
  }

  close(purpose: Purpose, text: string): string {
    const nonce = this.#chance.bytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, this.#keyOf(purpose), nonce);
    const parts = [nonce, cipher.update(utf8(text)), cipher.final(), cipher.getAuthTag()];
    return Buffer.concat(parts).toString("base64url");
  }

  /** Throws WorldError `bad-master-key` on what was not closed here for this purpose. */
  open(purpose: Purpose, closed: string): string {
    const bytes = Buffer.from(closed, "base64url");
    try {
      const end = bytes.length - TAG_BYTES;
      const nonce = bytes.subarray(0, NONCE_BYTES);
      const cipher = createDecipheriv(CIPHER, this.#keyOf(purpose), nonce);
      cipher.setAuthTag(bytes.subarray(end));
      const opened = [cipher.update(bytes.subarray(NONCE_BYTES, end)), cipher.final()];
      return Buffer.concat(opened).toString("utf8");
    } catch (cause) {
      throw new WorldError("bad-master-key", `The server's ${purpose} does not open.`, { cause });
    }
  }

  #keyOf(purpose: Purpose): Uint8Array {
    const info = utf8(`lockstep/1/server/${purpose}\0`);
    return new Uint8Array(hkdfSync("sha256", this.#masterKey, "", info, KEY_BYTES));
  }
}
