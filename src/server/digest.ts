import { hash } from "node:crypto";
import type { Digest } from "#core/world.ts";

/** SHA-256 by the machine's own library. */
export const nodeDigest: Digest = {
  sha256: (bytes) => hash("sha256", bytes, "buffer"),
};
