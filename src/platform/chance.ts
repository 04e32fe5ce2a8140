import { randomBytes } from "node:crypto";
import type { Chance } from "#core/world.ts";

/** The system's random number generator. */
export const systemChance: Chance = {
  bytes: (length) => new Uint8Array(randomBytes(length)),
};
