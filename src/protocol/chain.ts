import { concat, fromHex, toHex, utf8 } from "../core/bytes.ts";
import type { Digest } from "../core/world.ts";
import type { Change } from "./commit.ts";
import type { Entry } from "./feed.ts";

/** The chain value before the first commit. */
export const CHAIN_START = "0".repeat(64);

const LABEL = utf8("lockstep/chain/1\0");
const CHANGES_LABEL = utf8("lockstep/changes/1\0");

/** Fixed field order, absent fields left out: both sides hash the same bytes (SPEC JN4). */
function canonicalChange(change: Change): unknown[] {
  switch (change.kind) {
    case "create": {
      const { node, type, parent, name, key, meta, chunks, lengths } = change;
      return ["create", node, type, parent, name, key ?? null, meta, chunks, lengths ?? null];
    }
    case "update": {
      const { node, crev, meta, chunks, keeps, lengths } = change;
      const kept = keeps === undefined ? [] : [keeps.drops, keeps.all];
      return ["update", node, crev, meta, chunks, lengths ?? null, ...kept];
    }
    case "move": {
      const { node, lrev, parent, name, key } = change;
      return ["move", node, lrev, parent, name, key ?? null];
    }
    case "delete": {
      const { node, crev, lrev, approved } = change;
      return ["delete", node, crev, lrev, ...(approved === true ? ["approved"] : [])];
    }
  }
}

/** A commit's changes are hashed when it is signed, when it is verified, and into the chain. */
const canonicalTexts = new WeakMap<readonly Change[], string>();

/** The JSON text of changes in their canonical form; a list of them is never altered. */
function canonicalText(changes: readonly Change[]): string {
  const known = canonicalTexts.get(changes);
  if (known !== undefined) return known;
  const text = JSON.stringify(changes.map(canonicalChange));
  canonicalTexts.set(changes, text);
  return text;
}

/**
 * The chain value after `entry`: SHA-256 over a label, the value before it and the entry's
 * canonical bytes, so that two journals with one chain value have the same past.
 */
export function nextChain(digest: Digest, before: string, entry: Omit<Entry, "chain">): string {
  const { sequence, commitId, device, timeMs, changes } = entry;
  const { base, keyEpoch, signature } = entry;
  const fields = [sequence, commitId, device ?? null, timeMs].map((field) => JSON.stringify(field));
  fields.push(canonicalText(changes));
  if (base !== undefined) {
    fields.push(JSON.stringify([base.sequence, base.chain, keyEpoch, signature]));
  }
  const body = utf8(`[${fields.join(",")}]`);
  return toHex(digest.sha256(concat([LABEL, fromHex(before), body])));
}

/** What a device signs of a commit's changes: SHA-256 over a label and their canonical bytes. */
export function hashChanges(digest: Digest, changes: readonly Change[]): Uint8Array {
  const body = utf8(canonicalText(changes));
  return digest.sha256(concat([CHANGES_LABEL, body]));
}
