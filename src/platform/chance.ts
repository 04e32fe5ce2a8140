import { randomBytes, randomFillSync } from "node:crypto";
import type { Chance } from "#core/world.ts";

/** Salts and ids are short and many: drawn together they take a tenth of the time. */
const POOL_BYTES = 4_096;
const MOST_POOLED_BYTES = 64;
const pool = new Uint8Array(POOL_BYTES);
let used = POOL_BYTES;

/** The system's random number generator. */
export const systemChance: Chance = {
  bytes(length) {
    if (length > MOST_POOLED_BYTES) return new Uint8Array(randomBytes(length));
    if (used + length > POOL_BYTES) {
      randomFillSync(pool);
      used = 0;
    }
    const bytes = pool.slice(used, used + length);
    // What was given out is nowhere else.
    pool.fill(0, used, used + length);
    used += length;
    return bytes;
  },
};
