import { argon2, argon2Sync, timingSafeEqual } from "node:crypto";
import { WorldError } from "#core/errors.ts";
import type { Chance } from "#core/world.ts";

/** What one Argon2id hash costs (RFC 9106): memory in KiB, passes over it, lanes. */
export type PasswordCost = {
  readonly memoryKib: number;
  readonly passes: number;
  readonly parallelism: number;
};

/** RFC 9106's second recommended setting: 64 MiB, three passes; about 0.15 s on one core. */
export const PASSWORD_COST: PasswordCost = { memoryKib: 64 * 1024, passes: 3, parallelism: 1 };

/** Hashes at the same time: each holds 64 MiB and a thread of the pool that file access shares. */
const MAX_HASHES_AT_ONCE = 2;

/** Requests that may wait for a hash; the next one is told to come back. */
export const MAX_HASHES_WAITING = 64;

const SALT_BYTES = 16;
const TAG_BYTES = 32;

/** Below this, the hop to another thread costs more than the hash itself. */
const SYNC_BELOW_KIB = 1024;

/** What a stored hash may ask of this machine: a planted row must not eat all its memory. */
const MAX_STORED_KIB = 1024 * 1024;
const MAX_STORED_PASSES = 64;

type Phc = { readonly cost: PasswordCost; readonly salt: Uint8Array; readonly tag: Uint8Array };

const PHC =
  /^\$argon2id\$v=19\$m=(\d{1,10}),t=(\d{1,3}),p=(\d{1,3})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/;

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64").replaceAll("=", "");
}

function writePhc({ cost, salt, tag }: Phc): string {
  const { memoryKib, passes, parallelism } = cost;
  const numbers = `m=${memoryKib},t=${passes},p=${parallelism}`;
  return `$argon2id$v=19$${numbers}$${toBase64(salt)}$${toBase64(tag)}`;
}

function readPhc(text: string): Phc {
  const [, memory, passes, lanes, salt, tag] = PHC.exec(text) ?? [];
  const cost = {
    memoryKib: Number(memory),
    passes: Number(passes),
    parallelism: Number(lanes),
  };
  const sane = cost.memoryKib <= MAX_STORED_KIB && cost.passes <= MAX_STORED_PASSES;
  if (salt === undefined || tag === undefined || !sane) {
    throw new WorldError("internal", "A stored password hash is damaged; set a new password.");
  }
  return { cost, salt: Buffer.from(salt, "base64"), tag: Buffer.from(tag, "base64") };
}

function derive(password: string, salt: Uint8Array, cost: PasswordCost): Promise<Uint8Array> {
  const parameters = {
    // Composed form: the same password typed on a Mac and on Windows is the same bytes.
    message: Buffer.from(password.normalize("NFC"), "utf8"),
    nonce: salt,
    parallelism: cost.parallelism,
    tagLength: TAG_BYTES,
    memory: cost.memoryKib,
    passes: cost.passes,
  };
  if (cost.memoryKib < SYNC_BELOW_KIB) return Promise.resolve(argon2Sync("argon2id", parameters));
  return new Promise((resolve, reject) => {
    argon2("argon2id", parameters, (error, tag) => (error ? reject(error) : resolve(tag)));
  });
}

/** Argon2id password hashes in PHC string form, a bounded number of them at a time. */
export class Passwords {
  readonly #chance: Chance;
  readonly #cost: PasswordCost;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(chance: Chance, cost: PasswordCost = PASSWORD_COST) {
    this.#chance = chance;
    this.#cost = cost;
  }

  /** Throws WorldError `unavailable` (retryable) when too many wait already. */
  async hash(password: string): Promise<string> {
    const salt = this.#chance.bytes(SALT_BYTES);
    const tag = await this.#inTurn(() => derive(password, salt, this.#cost));
    return writePhc({ cost: this.#cost, salt, tag });
  }

  /** Throws as `hash` does. Without a stored hash it is false at the same price (SPEC AC2). */
  async verify(password: string, stored: string | undefined): Promise<boolean> {
    const { cost, salt, tag } =
      stored === undefined
        ? { cost: this.#cost, salt: new Uint8Array(SALT_BYTES), tag: new Uint8Array(TAG_BYTES) }
        : readPhc(stored);
    const derived = await this.#inTurn(() => derive(password, salt, cost));
    const equal = derived.length === tag.length && timingSafeEqual(derived, tag);
    return equal && stored !== undefined;
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= MAX_HASHES_AT_ONCE) {
      if (this.#waiting.length >= MAX_HASHES_WAITING) {
        throw new WorldError("unavailable", "Too many sign-ins at once; try again in a moment.", {
          retryable: true,
        });
      }
      // Whoever finishes hands its turn over, so the count of running ones does not change.
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else {
      this.#running++;
    }
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}
