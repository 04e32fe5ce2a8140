import { utf8 } from "#core/bytes.ts";

/**
 * What every label begins with. Another program, or a later edition of these formats, derives other
 * keys from the same secret.
 */
const PREFIX = "lockstep/1/";

/** What every stored object begins with; a letter for its kind and one for its edition follow. */
const MAGIC = "LS";

/** Each purpose that bytes are hashed, derived or signed for; none is used for two. */
export type Label =
  | "frame"
  | "oprf-output"
  | "chunk-secret"
  | "private-chunk-secret"
  | "chunk-keys"
  | `oprf-epoch-${number}`
  | "space/meta"
  | "space/name"
  | "space/manifest"
  | "space/content"
  | "space/chunker"
  | "account/keyring"
  | "owner/password"
  | "owner/words"
  | "owner/bundle"
  | "owner/recovery"
  | "join/locator"
  | "join/proof"
  | "join/psk"
  | "join/words"
  | "meta"
  | "name"
  | "sealed-name"
  | "keyring"
  | "bundle"
  | "join"
  | "join-commitment"
  | "join-package"
  | "join-transcript"
  | "journal-sig"
  | "keyring-sig"
  | "bundle-sig"
  | "hand-over-sig"
  | "certificate-sig";

const known = new Map<Label, Uint8Array>();

/** The prefix and the label. */
export function plainLabel(label: Label): Uint8Array {
  return utf8(PREFIX + label);
}

/** The prefix, the label and a zero: no label is the beginning of another. Not to be written to. */
export function labelBytes(label: Label): Uint8Array {
  let bytes = known.get(label);
  if (bytes === undefined) known.set(label, (bytes = utf8(`${PREFIX}${label}\0`)));
  return bytes;
}

/** The first four bytes of a stored object. */
export function magic(
  kind: "C1" | "M1" | "P1" | "J1" | "K1" | "D1" | "B1" | "G2" | "R1",
): Uint8Array {
  return utf8(MAGIC + kind);
}
