import { assert } from "#core/assert.ts";
import { concat, fromHex, toHex } from "#core/bytes.ts";
import type { CommitId, DeviceId, SpaceId } from "#core/ids.ts";
import { u16, u64 } from "./fields.ts";
import type { SigningSeed } from "./keys.ts";
import { labelBytes, magic } from "./labels.ts";
import type { Primitives } from "./primitives.ts";

/**
 * What a device signs of a commit, after a label: `["LSJ1"][suite 1][zero 1][epoch 2][space 16]
 * [commit 16][device 16][base sequence 8][base chain 32][SHA-256 of the changes 32]`. None of it is
 * sent again: whoever checks builds it from what the journal says.
 */
const SUITE = 1;
const HASH_BYTES = 32;
const SIGNATURE_HEX = /^[0-9a-f]{128}$/;

export type CommitFacts = {
  readonly space: SpaceId;
  readonly commit: CommitId;
  readonly device: DeviceId;
  /** Of the space's keys; names and metas in the commit are sealed with them. */
  readonly epoch: number;
  /** The head that the commit was planned on; `chain` is 64 hex digits. */
  readonly base: { readonly sequence: number; readonly chain: string };
  /** The canonical hash of the changes, 32 bytes. */
  readonly changes: Uint8Array;
};

function signed({ space, commit, device, epoch, base, changes }: CommitFacts): Uint8Array {
  const chain = fromHex(base.chain);
  assert(chain.length === HASH_BYTES && changes.length === HASH_BYTES, "hashes of 32 bytes");
  return concat([
    labelBytes("journal-sig"),
    magic("J1"),
    Uint8Array.of(SUITE, 0),
    u16(epoch),
    fromHex(space),
    fromHex(commit),
    fromHex(device),
    u64(base.sequence),
    chain,
    changes,
  ]);
}

/** 128 hex digits. */
export function signCommit(
  { signatures }: Primitives,
  seed: SigningSeed,
  facts: CommitFacts,
): string {
  return toHex(signatures.sign(seed, signed(facts)));
}

/** What a reader knows of an entry's place by itself, and must not take from the entry. */
export type CommitPlace = {
  /** From the device's certificate; undefined for a device whose word does not count here. */
  readonly signingKey: Uint8Array | undefined;
  /** The epoch that the journal is in at this entry, and the sequence at which it began. */
  readonly epoch: { readonly number: number; readonly since: number };
  /** The chain after an entry of this journal's past, undefined when there is none. */
  readonly chainAt: (sequence: number) => string | undefined;
};

/**
 * Why a commit is not what its device made for this place: nobody vouches for the device; the
 * device did not say this of this space, commit, base and these changes; it was closed in another
 * epoch, or planned before the present one began; its base is no past of this journal, or of
 * another one's.
 */
export type CommitFault =
  | "unknown-device"
  | "bad-signature"
  | "other-epoch"
  | "base-before-epoch"
  | "unknown-base"
  | "other-base";

/** `sound`, or the first thing that is wrong: what a commit says counts after its signature. */
export function checkCommit(
  { signatures }: Primitives,
  facts: CommitFacts,
  signature: string,
  { signingKey, epoch, chainAt }: CommitPlace,
): "sound" | CommitFault {
  if (signingKey === undefined) return "unknown-device";
  if (!SIGNATURE_HEX.test(signature)) return "bad-signature";
  if (!signatures.verify(signingKey, signed(facts), fromHex(signature))) return "bad-signature";
  if (facts.epoch !== epoch.number) return "other-epoch";
  if (facts.base.sequence < epoch.since) return "base-before-epoch";
  const chain = chainAt(facts.base.sequence);
  if (chain === undefined) return "unknown-base";
  return chain === facts.base.chain ? "sound" : "other-base";
}
