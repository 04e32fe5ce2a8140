import { concat, fromHex, toHex } from "#core/bytes.ts";
import { WorldError } from "#core/errors.ts";
import { commitId, deviceId, spaceId } from "#core/ids.ts";
import type { CommitId, DeviceId, SpaceId } from "#core/ids.ts";
import { fromBase64Url, toBase64Url } from "./base64url.ts";
import { FieldReader, u16, u64 } from "./fields.ts";
import type { SigningSeed } from "./keys.ts";
import { labelBytes, magic } from "./labels.ts";
import type { Primitives } from "./primitives.ts";

/**
 * What a device signs of a commit: `["LSJ1"][suite 1][zero 1][epoch 2][space 16][commit 16]
 * [device 16][base sequence 8][base chain 32][SHA-256 of the changes 32][signature 64]`. It carries
 * what it signs, so that a reader can tell what a server changed.
 */
const SUITE = 1;
const SIGNATURE_BYTES = 64;

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

/** Base64url, 256 characters. */
export function signCommit(
  { signatures }: Primitives,
  seed: SigningSeed,
  facts: CommitFacts,
): string {
  const body = concat([
    magic("J1"),
    Uint8Array.of(SUITE, 0),
    u16(facts.epoch),
    fromHex(facts.space),
    fromHex(facts.commit),
    fromHex(facts.device),
    u64(facts.base.sequence),
    fromHex(facts.base.chain),
    facts.changes,
  ]);
  return toBase64Url(concat([body, signatures.sign(seed, signed(body))]));
}

const signed = (body: Uint8Array): Uint8Array => concat([labelBytes("journal-sig"), body]);

/** What a reader of the journal knows of an entry by itself. */
export type ExpectedCommit = Pick<CommitFacts, "space" | "commit" | "device" | "changes"> & {
  /** The epoch that the journal is in at this entry, and the sequence at which it began. */
  readonly epoch: { readonly number: number; readonly since: number };
  /** From the device's certificate; undefined for a device that nobody vouches for. */
  readonly signingKey: Uint8Array | undefined;
  /** The chain after an earlier entry, undefined when it is none of this journal's past. */
  readonly chainAt: (sequence: number) => string | undefined;
};

/** Why a commit is not what its device made for this place. */
export type CommitFault =
  | "malformed"
  | "unknown-device"
  | "other-space"
  | "other-commit"
  | "other-device"
  | "other-changes"
  | "other-epoch"
  | "bad-signature"
  | "base-before-epoch"
  | "unknown-base"
  | "other-base";

/** `sound`, or the first thing that is wrong. The signature is checked before what it says. */
export function checkCommit(
  { signatures, hashes }: Primitives,
  text: string,
  expected: ExpectedCommit,
): "sound" | CommitFault {
  const bytes = fromBase64Url(text);
  const facts = bytes === null ? null : read(bytes);
  if (bytes === null || facts === null) return "malformed";
  if (expected.signingKey === undefined) return "unknown-device";
  const end = bytes.length - SIGNATURE_BYTES;
  const signature = bytes.subarray(end);
  if (!signatures.verify(expected.signingKey, signed(bytes.subarray(0, end)), signature)) {
    return "bad-signature";
  }
  if (facts.space !== expected.space) return "other-space";
  if (facts.commit !== expected.commit) return "other-commit";
  if (facts.device !== expected.device) return "other-device";
  if (!hashes.equal(facts.changes, expected.changes)) return "other-changes";
  if (facts.epoch !== expected.epoch.number) return "other-epoch";
  if (facts.base.sequence < expected.epoch.since) return "base-before-epoch";
  const chain = expected.chainAt(facts.base.sequence);
  if (chain === undefined) return "unknown-base";
  return chain === facts.base.chain ? "sound" : "other-base";
}

function read(bytes: Uint8Array): CommitFacts | null {
  const fields = new FieldReader(bytes, "bad-signature", "A commit's signature");
  try {
    fields.expect(magic("J1"), "format");
    fields.expect(Uint8Array.of(SUITE, 0), "suite");
    const epoch = fields.u16();
    const space = spaceId(toHex(fields.bytes(16)));
    const commit = commitId(toHex(fields.bytes(16)));
    const device = deviceId(toHex(fields.bytes(16)));
    const base = { sequence: fields.u64(), chain: toHex(fields.bytes(32)) };
    const changes = fields.bytes(32);
    fields.bytes(SIGNATURE_BYTES);
    fields.end();
    return { space, commit, device, epoch, base, changes };
  } catch (error) {
    if (error instanceof WorldError) return null;
    throw error;
  }
}
