import { z } from "zod";
import * as ids from "../core/ids.ts";

const HEX_128 = /^[0-9a-f]{32}$/;
const HEX_256 = /^[0-9a-f]{64}$/;

/** Schemas of ids: what comes out is branded. */
export const NodeId = z.string().regex(HEX_128).transform(ids.nodeId);
export const ChunkId = z.string().regex(HEX_256).transform(ids.chunkId);
export const SpaceId = z.string().regex(HEX_128).transform(ids.spaceId);
export const AccountId = z.string().regex(HEX_128).transform(ids.accountId);
export const DeviceId = z.string().regex(HEX_128).transform(ids.deviceId);
export const CommitId = z.string().regex(HEX_128).transform(ids.commitId);

/** Position in a space's journal: 1 is the first commit, 0 stands before it. */
export const Sequence = z.int().min(0);

/** Chain value: 64 hex digits, see `chain.ts`. */
export const Chain = z.string().regex(HEX_256);
