import { FOLDER, type Content } from "#core/node.ts";
import type { NodeId } from "#core/ids.ts";
import { signCommit } from "#crypto/journal.ts";
import { epochsOf } from "#crypto/keyring.ts";
import { contentOf, openMeta, sealMeta } from "#crypto/meta.ts";
import { openName, sealName } from "#crypto/names.ts";
import { systemDigest } from "#platform/digest.ts";
import { systemPrimitives } from "#platform/primitives.ts";
import { hashChanges } from "#protocol/chain.ts";
import type { Commit } from "#protocol/commit.ts";
import { readPlainMeta, writePlainMeta } from "#protocol/meta.ts";
import type { Link } from "./daemon.ts";
import { DeviceKeys, keysFile } from "./device-keys.ts";
import { CommandError } from "./exit.ts";
import type { LinkedFolder } from "./links.ts";

/** A node's content at the server, as one of its revisions has it. */
export type ClosedMeta = { readonly node: NodeId; readonly follows: number; readonly meta: string };

type ClosedName = { readonly node: NodeId; readonly parent: NodeId; readonly name: string };

/** Reads and writes what a folder's space has at the server, for commands without an engine. */
export interface SpaceDoor {
  openName(row: ClosedName): string;
  openMeta(row: ClosedMeta): Content;
  /** The same content as the next one of a node: where `follows` is its revision now. */
  carry(from: ClosedMeta, to: Omit<ClosedMeta, "meta">): string;
  closeName(row: ClosedName): { name: string; key?: string };
  folderMeta(node: NodeId): string;
  sign(commit: Commit): Commit;
}

const PLAIN: SpaceDoor = {
  openName: ({ name }) => name,
  openMeta: ({ meta }) => readPlainMeta(meta).content,
  carry: ({ meta }) => meta,
  closeName: ({ name }) => ({ name }),
  folderMeta: () => writePlainMeta({ content: FOLDER, mtimeMs: 0 }),
  sign: (commit) => commit,
};

/** Throws CommandError when this machine has no key of the space. */
export function openDoor({ link, state }: LinkedFolder): SpaceDoor {
  if (link.kind === "plain") return PLAIN;
  const keys = DeviceKeys.read(keysFile(state));
  if (keys === null) throw noKeys(link);
  return sealedDoor(link, keys);
}

export function noKeys({ dir }: Link): CommandError {
  const message = `This machine has lost the keys of ${dir}: sign it in again with lockstep link.`;
  return new CommandError(message);
}

function sealedDoor({ space, device, folding }: Link, keys: DeviceKeys): SpaceDoor {
  const { hashes } = systemPrimitives;
  const epochs = epochsOf(hashes, keys.keyring, space);
  const current = epochs.get(Math.max(...epochs.keys()));
  if (current === undefined) throw new CommandError("The account has no keys of this space.");
  return {
    openName: (row) => openName(systemPrimitives, epochs, row, row.name),
    openMeta: (row) => contentOf(hashes, openMeta(systemPrimitives, epochs, row, row.meta)),
    carry: (from, to) =>
      sealMeta(systemPrimitives, current, to, openMeta(systemPrimitives, epochs, from, from.meta)),
    closeName: (row) => sealName(systemPrimitives, current, { ...row, folding }, row.name),
    folderMeta: (node) => sealMeta(systemPrimitives, current, { node, follows: 0 }, FOLDER),
    sign: (commit) => {
      const { commitId: id, base, changes } = commit;
      const signature = signCommit(systemPrimitives, keys.own.signingSeed, {
        space,
        commit: id,
        device,
        epoch: current.epoch,
        base,
        changes: hashChanges(systemDigest, changes),
      });
      return { ...commit, keyEpoch: current.epoch, signature };
    },
  };
}
