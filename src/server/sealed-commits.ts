import type { DeviceId } from "#core/ids.ts";
import type { Commit } from "#protocol/commit.ts";
import type { Entry } from "#protocol/feed.ts";
import { MAX_BASE_AGE } from "#protocol/limits.ts";
import { refused, type Refused } from "./draft.ts";
import type { Head, SpaceKeys } from "./metadata/port.ts";

/**
 * Why a commit does not fit a space of this kind, whatever it changes (SPEC SS2 to SS4). The server
 * cannot tell whether a signature is good: it knows no device's key that a device would believe.
 */
export function unfitFor(
  keys: SpaceKeys,
  { base, keyEpoch, signature }: Commit,
  { head, device }: { readonly head: Head; readonly device: DeviceId | undefined },
): Refused | undefined {
  if (keys.kind === "plain") {
    if (keyEpoch === undefined && signature === undefined) return undefined;
    return refused("bad-change", "Commits to a plain space have no key epoch and no signature.");
  }
  if (keyEpoch === undefined || signature === undefined || device === undefined) {
    return refused("bad-change", "A sealed space takes commits that a device has signed.");
  }
  if (keyEpoch !== keys.keyEpoch || base.sequence < keys.keyEpochSequence) {
    const detail = `It is closed with the keys of epoch ${keyEpoch} on ${base.sequence}`;
    const now = `the space has those of ${keys.keyEpoch} since ${keys.keyEpochSequence}`;
    return refused("epoch-old", `${detail}, ${now}.`);
  }
  if (head.sequence - base.sequence <= MAX_BASE_AGE) return undefined;
  return refused("stale", `Its base ${base.sequence} is too far behind ${head.sequence}.`);
}

/** What of a sealed commit stands in its entry, for other devices to verify. */
export function signedParts({
  base,
  keyEpoch,
  signature,
}: Commit): Pick<Entry, "base" | "keyEpoch" | "signature"> {
  return signature === undefined ? {} : { base, keyEpoch, signature };
}
