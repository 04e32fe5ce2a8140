/**
 * Branded ids, one parser each. All are lower-case hexadecimal: they stand in URLs, in file names
 * on case-folding disks and in SQL without any escaping.
 */
declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

/** 128 random bits, 32 hex digits: one file, folder or symlink for life. */
export type NodeId = Branded<"node">;
/** SHA-256 of a chunk's stored bytes, 64 hex digits. */
export type ChunkId = Branded<"chunk">;
/** SHA-256 of a file's whole content, 64 hex digits. */
export type ContentHash = Branded<"content">;
/** 128 random bits, 32 hex digits. */
export type SpaceId = Branded<"space">;
/** 128 random bits, 32 hex digits. */
export type AccountId = Branded<"account">;
/** 128 random bits, 32 hex digits. */
export type DeviceId = Branded<"device">;
/** 128 random bits, 32 hex digits, drawn by the device that makes the commit. */
export type CommitId = Branded<"commit">;

const HEX_128 = /^[0-9a-f]{32}$/;
const HEX_256 = /^[0-9a-f]{64}$/;

function parse<T extends string>(kind: string, shape: RegExp, text: string): T {
  if (!shape.test(text)) throw new RangeError(`not a ${kind} id: ${text.slice(0, 80)}`);
  return text as T;
}

export const nodeId = (text: string): NodeId => parse<NodeId>("node", HEX_128, text);
export const chunkId = (text: string): ChunkId => parse<ChunkId>("chunk", HEX_256, text);
export const contentHash = (text: string): ContentHash => parse("content", HEX_256, text);
export const spaceId = (text: string): SpaceId => parse<SpaceId>("space", HEX_128, text);
export const accountId = (text: string): AccountId => parse("account", HEX_128, text);
export const deviceId = (text: string): DeviceId => parse<DeviceId>("device", HEX_128, text);
export const commitId = (text: string): CommitId => parse<CommitId>("commit", HEX_128, text);

/** The folder that a space's tree hangs from: it exists in every space and is never sent. */
export const ROOT_NODE = nodeId("0".repeat(32));
