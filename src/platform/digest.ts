import { hash } from "node:crypto";
import type { Digest } from "#core/world.ts";

/** OpenSSL's SHA-256. */
export const systemDigest: Digest = {
  sha256: (bytes) => new Uint8Array(hash("sha256", bytes, "buffer")),
};
