import { toHex } from "#core/bytes.ts";
import { nodeId, type NodeId } from "#core/ids.ts";
import type { Chance } from "#core/world.ts";

const RUN_BYTES = 8;
const COUNT_BYTES = 4;
const CHANCE_BYTES = 4;
/** Ids in no order among themselves, of which a page of a database's index holds a good part. */
const BLOCK = 256;
const MOST_BLOCKS = 2 ** (8 * COUNT_BYTES);

/**
 * New node ids of 16 bytes: 8 that are drawn once a run, a count of blocks, and 4 that are drawn
 * each time. What is found together so stands together wherever rows are in the order of their ids,
 * and databases of a million nodes write a page for many of them, not one for each (UUID version 7,
 * RFC 9562, has the time in front for the same reason; it would tell when something was made). In a
 * block they have no order: one could tell that of names, where a disk lists by name.
 */
export function nodeIds(chance: Chance): () => NodeId {
  let run = chance.bytes(RUN_BYTES);
  let drawn = 0;
  let block = 0;
  const taken = new Set<string>();
  const next = (): NodeId => {
    if (drawn === BLOCK) {
      taken.clear();
      drawn = 0;
      block = (block + 1) % MOST_BLOCKS;
      if (block === 0) run = chance.bytes(RUN_BYTES);
    }
    const bytes = new Uint8Array(RUN_BYTES + COUNT_BYTES + CHANCE_BYTES);
    bytes.set(run);
    new DataView(bytes.buffer).setUint32(RUN_BYTES, block);
    const own = chance.bytes(CHANCE_BYTES);
    bytes.set(own, RUN_BYTES + COUNT_BYTES);
    // Of 256 numbers of 32 bits two are equal once in 130,000 blocks.
    const mark = toHex(own);
    if (taken.has(mark)) return next();
    taken.add(mark);
    drawn++;
    return nodeId(toHex(bytes));
  };
  return next;
}
