import { concat } from "#core/bytes.ts";
import { WorldError } from "#core/errors.ts";
import { fromBase64Url, toBase64Url } from "./base64url.ts";
import { u16 } from "./fields.ts";
import { keysOfEpoch, type SealContext, type SpaceEpochs, type SpaceKeys } from "./keys.ts";
import type { Primitives } from "./primitives.ts";
import { open, seal } from "./sealed.ts";

/**
 * What a node carries on the wire: base64url of `[epoch 2][sealed object]`. The epoch says which
 * key opens it, and is bound by the context as well.
 */

type MetaContext = SealContext<SpaceKeys["meta"]>;

export function sealText(
  primitives: Primitives,
  keys: SpaceKeys,
  context: MetaContext,
  plain: Uint8Array,
): string {
  const sealed = seal(primitives, keys.meta, context, plain);
  return toBase64Url(concat([u16(keys.epoch), sealed]));
}

/** Throws WorldError `bad-seal` or `unknown-epoch`. */
export function openText(
  primitives: Primitives,
  epochs: SpaceEpochs,
  contextOf: (keys: SpaceKeys) => MetaContext,
  text: string,
): Uint8Array {
  const bytes = fromBase64Url(text);
  if (bytes === null || bytes.length < 2) {
    throw new WorldError("bad-seal", "A sealed object cannot be opened: it is no sealed text.");
  }
  const keys = keysOfEpoch(epochs, bytes[0]! * 256 + bytes[1]!);
  return open(primitives, keys.meta, contextOf(keys), bytes.subarray(2));
}
