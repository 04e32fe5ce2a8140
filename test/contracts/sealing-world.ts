import assert from "node:assert/strict";
import { fromHex } from "#core/bytes.ts";
import { WorldError } from "#core/errors.ts";
import * as ids from "#core/ids.ts";
import { rootKey, spaceKeys, type SpaceKeys } from "#crypto/keys.ts";
import { systemPrimitives } from "#platform/primitives.ts";

// What the tests of sealed formats are done with: this machine's primitives, and some ids and keys.

export { randomSample, textSample } from "#chunking/sample-bytes.ts";
export { openRistretto } from "#platform/ristretto.ts";
export const primitives = systemPrimitives;

export const SPACE = ids.spaceId("51".repeat(16));
export const OTHER_SPACE = ids.spaceId("52".repeat(16));
export const NODE = ids.nodeId("a1".repeat(16));
export const OTHER_NODE = ids.nodeId("a2".repeat(16));
export const FOLDER_NODE = ids.nodeId("b1".repeat(16));
export const OTHER_FOLDER = ids.nodeId("b2".repeat(16));
export const ACCOUNT = ids.accountId("c1".repeat(16));
export const DEVICE = ids.deviceId("d1".repeat(16));
export const OTHER_DEVICE = ids.deviceId("d2".repeat(16));

export const ROOT = rootKey(fromHex("01".repeat(32)));

export function keysOf(space: ids.SpaceId, epoch: number, root = ROOT): SpaceKeys {
  return spaceKeys(primitives.hashes, space, epoch, root);
}

/** Holds that `work` throws a WorldError of one of these codes: never anything else, never none. */
export function refuses(work: () => unknown, codes: string | readonly string[], what = ""): void {
  const allowed = typeof codes === "string" ? [codes] : codes;
  assert.throws(work, (error) => {
    assert.ok(error instanceof WorldError, `${what}: ${String(error)}`);
    assert.ok(allowed.includes(error.code), `${what}: ${error.code}: ${error.message}`);
    return true;
  });
}

/** Copies of `bytes` with one bit changed in each of some places; all places when they are few. */
export function* flipped(bytes: Uint8Array, step = 1): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += step) {
    const changed = bytes.slice();
    changed[at]! ^= 1 << (at % 8);
    yield changed;
  }
}
