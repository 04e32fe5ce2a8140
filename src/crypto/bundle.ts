import { concat, fromHex, toHex } from "#core/bytes.ts";
import { WorldError } from "#core/errors.ts";
import { accountId, type AccountId } from "#core/ids.ts";
import { FieldReader, u16, u64 } from "./fields.ts";
import {
  accountKey,
  bundleContext,
  bundleKey,
  type AccountKey,
  type OwnerKey,
  type OwnerMethod,
  type SigningSeed,
} from "./keys.ts";
import { labelBytes, magic } from "./labels.ts";
import type { Primitives } from "./primitives.ts";
import { open, seal } from "./sealed.ts";

/**
 * How the owner of an account gets at its key again: `["LSB1"][account 16][version 8][identity 32]`,
 * then for each method `[length 2][sealed]`, the password's first, then the words', and a signature
 * with the identity key. What is sealed: `[account key 32][identity 32]`. Whoever opens one believes
 * the identity in it, and nothing of the bundle that this identity did not sign.
 */
const SIGNATURE_BYTES = 64;
const KEY_BYTES = 32;

/** In the order in which they stand in a bundle. */
const METHODS: readonly OwnerMethod[] = ["password", "words"];

export type Bundle = {
  readonly account: AccountId;
  /** 1, 2, 3, …: one more with each change. */
  readonly version: number;
  readonly accountKey: AccountKey;
  /** Ed25519, public. */
  readonly identity: Uint8Array;
};

const signed = (body: Uint8Array): Uint8Array => concat([labelBytes("bundle-sig"), body]);

/** A way in as it stands in a bundle; those that did not change are handed on as they are. */
export type Stanza = Uint8Array;

export function sealStanza(
  primitives: Primitives,
  owner: { readonly method: OwnerMethod; readonly key: OwnerKey },
  { account, accountKey: key, identity }: Bundle,
): Stanza {
  const context = bundleContext(account, owner.method);
  return seal(
    primitives,
    bundleKey(primitives.hashes, owner.key),
    context,
    concat([key, identity]),
  );
}

export function writeBundle(
  { signatures }: Primitives,
  identitySeed: SigningSeed,
  { account, version, identity }: Omit<Bundle, "accountKey">,
  stanzas: Readonly<Record<OwnerMethod, Stanza>>,
): Uint8Array {
  const body = concat([
    magic("B1"),
    fromHex(account),
    u64(version),
    identity,
    ...METHODS.flatMap((method) => [u16(stanzas[method].length), stanzas[method]]),
  ]);
  return concat([body, signatures.sign(identitySeed, signed(body))]);
}

/** The ways in, unopened: for whoever changes one of them. Throws WorldError `bad-bundle`. */
export function readStanzas(bundle: Uint8Array): Record<OwnerMethod, Stanza> {
  return read(bundle).stanzas;
}

function read(bundle: Uint8Array) {
  const fields = new FieldReader(bundle, "bad-bundle", "The account's bundle");
  fields.expect(magic("B1"), "format");
  const account = accountId(toHex(fields.bytes(16)));
  const version = fields.u64();
  const identity = fields.bytes(KEY_BYTES);
  const [password, words] = METHODS.map(() => fields.bytes(fields.u16()));
  const signature = fields.bytes(SIGNATURE_BYTES);
  fields.end();
  const stanzas = { password: password!, words: words! };
  return { account, version, identity, stanzas, signature };
}

/**
 * Opens a bundle with what the password or the words make. Throws WorldError `bad-bundle` when it is
 * not the account's own: a server that gives out another one has to be one that knows the password.
 */
export function openBundle(
  primitives: Primitives,
  owner: { readonly method: OwnerMethod; readonly key: OwnerKey },
  account: AccountId,
  bundle: Uint8Array,
): Bundle {
  const { hashes, signatures } = primitives;
  const { stanzas, signature, ...said } = read(bundle);
  const key = bundleKey(hashes, owner.key);
  const opened = open(primitives, key, bundleContext(account, owner.method), stanzas[owner.method]);
  if (opened.length !== 2 * KEY_BYTES) throw bad("it holds another length than it should");
  const identity = opened.subarray(KEY_BYTES);
  const body = bundle.subarray(0, bundle.length - SIGNATURE_BYTES);
  if (said.account !== account) throw bad("it is another account's");
  if (!hashes.equal(identity, said.identity)) throw bad("it names another identity");
  if (!signatures.verify(identity, signed(body), signature)) throw bad("it is not signed");
  return {
    account,
    version: said.version,
    accountKey: accountKey(opened.slice(0, KEY_BYTES)),
    identity: identity.slice(),
  };
}

function bad(detail: string): WorldError {
  return new WorldError("bad-bundle", `The account's bundle cannot be believed: ${detail}.`);
}
