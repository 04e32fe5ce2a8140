import { toHex } from "#core/bytes.ts";
import { chunkId, commitId, deviceId, nodeId, ROOT_NODE, type DeviceId } from "#core/ids.ts";
import type { Change } from "#protocol/commit.ts";
import type { Entry } from "#protocol/feed.ts";
import type { Draw } from "./chance.ts";

/** What a lying server knows when the next entry is due. */
export type Telling = {
  readonly draw: Draw;
  readonly victim: DeviceId;
  /** All that was shown to the victim before. */
  readonly shown: readonly Entry[];
};

/** What is shown instead of an entry; null when the lie does not fit this one. */
export type Lie = (entry: Entry, telling: Telling) => readonly Entry[] | null;

type Of<Kind extends Change["kind"]> = Extract<Change, { kind: Kind }>;

/** A lie about one change of these kinds. */
function about<Kind extends Change["kind"]>(
  kinds: readonly Kind[],
  twist: (change: Of<Kind>, telling: Telling) => Change | null,
): Lie {
  return (entry, telling) => {
    for (const [at, change] of entry.changes.entries()) {
      if (!isOf(kinds, change)) continue;
      const twisted = twist(change, telling);
      if (twisted !== null) return [{ ...entry, changes: entry.changes.with(at, twisted) }];
    }
    return null;
  };
}

/** What was shown last of another node that has such a thing. */
function earlier<Kind extends Change["kind"]>(
  kinds: readonly Kind[],
  { node }: Change,
  { shown }: Telling,
): Of<Kind> | undefined {
  const all = shown.flatMap(({ changes }) => changes);
  return all.filter((each) => isOf(kinds, each)).findLast((each) => each.node !== node);
}

function isOf<Kind extends Change["kind"]>(
  kinds: readonly Kind[],
  change: Change,
): change is Of<Kind> {
  return (kinds as readonly string[]).includes(change.kind);
}

function flipped(text: string, draw: Draw): string {
  const at = draw.below(text.length);
  return text.slice(0, at) + (text[at] === "A" ? "B" : "A") + text.slice(at + 1);
}

const newId = (draw: Draw): string => toHex(draw.bytes(16));

/** What the server makes up itself, in the name of this device. */
function invented(author: DeviceId, entry: Entry, draw: Draw): readonly Entry[] {
  const change = entry.changes[0];
  if (change === undefined) return [entry];
  const forged: Change = { ...change, node: nodeId(newId(draw)) };
  const made = { ...entry, device: author, commitId: commitId(newId(draw)), changes: [forged] };
  return [made, entry];
}

/** An older entry once more, whose node has gone on since. */
const again: Lie = (entry, { shown, victim, draw }) => {
  const changed = new Set(entry.changes.map(({ node }) => node));
  const older = shown.filter(({ device, changes }) => {
    return device !== victim && changes.some(({ node }) => changed.has(node));
  });
  return older.length === 0 ? null : [entry, draw.pick(older)];
};

/** Of the victim's own entries, so that it might think that its database is an old one. */
const ownAgain: Lie = (entry, { shown, victim, draw }) => {
  const own = shown.filter(({ device }) => device === victim);
  return own.length === 0 ? null : [entry, draw.pick(own)];
};

/** Ways to lie about the journal, entry by entry. */
export const LIES = {
  drop: () => [],
  repeat: (entry) => [entry, entry],
  again,
  "own-again": ownAgain,
  "forge-own": (entry, { victim, draw }) => invented(victim, entry, draw),
  "forge-peers": (entry, { draw }) => invented(entry.device ?? deviceId(newId(draw)), entry, draw),
  "unknown-device": (entry, { draw }) => invented(deviceId(newId(draw)), entry, draw),
  "other-author": (entry, { draw }) => [{ ...entry, device: deviceId(newId(draw)) }],
  unsigned: ({ signature: _signature, ...entry }) => [entry],
  "other-signature": (entry, { draw }) => [{ ...entry, signature: toHex(draw.bytes(64)) }],
  "other-epoch": (entry) => [{ ...entry, keyEpoch: (entry.keyEpoch ?? 0) + 1 }],
  "other-base": (entry, { draw }) => {
    const { base } = entry;
    return base === undefined
      ? null
      : [{ ...entry, base: { ...base, chain: toHex(draw.bytes(32)) } }];
  },
  "other-time": (entry) => [{ ...entry, timeMs: entry.timeMs + 1 }],
  "cut-off": (entry) =>
    entry.changes.length < 2 ? null : [{ ...entry, changes: entry.changes.slice(1) }],
  "swap-names": about(["create", "move"], (change, telling) => {
    const other = earlier(["create", "move"], change, telling);
    return other === undefined ? null : { ...change, name: other.name };
  }),
  "swap-metas": about(["create", "update"], (change, telling) => {
    const other = earlier(["create", "update"], change, telling);
    return other === undefined ? null : { ...change, meta: other.meta };
  }),
  "flip-name": about(["create", "move"], (change, { draw }) => {
    return { ...change, name: flipped(change.name, draw) };
  }),
  "flip-meta": about(["create", "update"], (change, { draw }) => {
    return { ...change, meta: flipped(change.meta, draw) };
  }),
  "other-parent": about(["create", "move"], (change, { shown, draw }) => {
    const folders = shown
      .flatMap(({ changes }) => changes)
      .filter((each) => {
        return each.kind === "create" && each.type === "folder" && each.node !== change.parent;
      });
    const below = folders[0]?.node ?? nodeId(newId(draw));
    return { ...change, parent: change.parent === ROOT_NODE ? below : ROOT_NODE };
  }),
  "other-type": about(["create"], (change) => {
    return { ...change, type: change.type === "file" ? "folder" : "file", chunks: [] };
  }),
  "other-key": about(["create", "move"], (change, { draw }) => {
    return { ...change, key: flipped(change.key ?? "A", draw) };
  }),
  "other-chunks": about(["create", "update"], (change, { draw }) => {
    return { ...change, chunks: [...change.chunks, chunkId(toHex(draw.bytes(32)))] };
  }),
  "other-revision": about(["update", "delete"], (change) => ({ ...change, crev: change.crev + 1 })),
  "delete-it": about(["update"], ({ node, crev }) => ({ kind: "delete", node, crev, lrev: crev })),
} satisfies Record<string, Lie>;
