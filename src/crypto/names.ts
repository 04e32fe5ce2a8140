import { concat, fromHex, utf8 } from "#core/bytes.ts";
import { WorldError } from "#core/errors.ts";
import type { NodeId } from "#core/ids.ts";
import { foldName, plainNameKey } from "#core/names.ts";
import { toBase64Url } from "./base64url.ts";
import { FieldReader } from "./fields.ts";
import { nameContext, type NamePlace, type SpaceEpochs, type SpaceKeys } from "./keys.ts";
import { labelBytes } from "./labels.ts";
import { pad, unpad } from "./padding.ts";
import type { Hashes, Primitives } from "./primitives.ts";
import { openText, sealText } from "./sealed-text.ts";

/** Names are short and many: five lengths of name are told apart, and most have the first. */
const NAME_STEP_BYTES = 64;
const paddedName = (lengthBytes: number): number =>
  Math.ceil(lengthBytes / NAME_STEP_BYTES) * NAME_STEP_BYTES;

/** A name as the server has it: sealed, and the token by which it keeps names apart. */
export type SealedName = { readonly name: string; readonly key: string };

export function sealName(
  primitives: Primitives,
  keys: SpaceKeys,
  place: NamePlace & { readonly folding: boolean },
  name: string,
): SealedName {
  const padded = pad(utf8(name), paddedName);
  return {
    name: sealText(primitives, keys, nameContext(keys, place), padded),
    key: nameToken(primitives.hashes, keys, place, name),
  };
}

/** Throws WorldError `bad-name`, `bad-seal`, or `unknown-epoch`. */
export function openName(
  primitives: Primitives,
  epochs: SpaceEpochs,
  place: NamePlace,
  text: string,
): string {
  const padded = openText(primitives, epochs, (keys) => nameContext(keys, place), text);
  const name = unpad(padded, paddedName);
  if (name === null) throw new WorldError("bad-name", "A name is not padded as it has to be.");
  return new FieldReader(name, "bad-name", "A name").text(name.length);
}

/**
 * Equal for equal names in one folder and one epoch, and for nothing else: the server refuses the
 * second without knowing either. `folding`: whether case tells names apart in this space.
 */
function nameToken(
  hashes: Hashes,
  keys: SpaceKeys,
  { parent, folding }: { readonly parent: NodeId; readonly folding: boolean },
  name: string,
): string {
  const compared = utf8(folding ? foldName(name) : plainNameKey(name));
  const message = concat([labelBytes("name"), fromHex(parent), compared]);
  return toBase64Url(hashes.hmacSha256(keys.name, [message]));
}
