import type { ChunkId } from "#core/ids.ts";

/** Digits of an id that are compared: as many bits as a number holds without loss. */
const DIGITS = 12;
const FIRST_SLOTS = 1_024;

/**
 * A set of chunks that takes some 16 bytes for each, as there may be many millions. It knows them
 * by 48 bits of their ids: it may take a chunk for one that is in it, and so keep it, never the
 * other way round.
 */
export class ChunkMarks {
  /** Open addressing; 0 is a free slot. */
  #slots = new Float64Array(FIRST_SLOTS);
  #count = 0;

  add(chunk: ChunkId): void {
    if (2 * this.#count >= this.#slots.length) this.#grow();
    const mark = markOf(chunk);
    const at = slotOf(this.#slots, mark);
    if (this.#slots[at] !== 0) return;
    this.#slots[at] = mark;
    this.#count++;
  }

  has(chunk: ChunkId): boolean {
    return this.#slots[slotOf(this.#slots, markOf(chunk))] !== 0;
  }

  #grow(): void {
    const slots = new Float64Array(2 * this.#slots.length);
    for (const mark of this.#slots) if (mark !== 0) slots[slotOf(slots, mark)] = mark;
    this.#slots = slots;
  }
}

function markOf(chunk: ChunkId): number {
  return Number.parseInt(chunk.slice(0, DIGITS), 16) + 1;
}

/** The slot that holds the mark, or the free one where it belongs. */
function slotOf(slots: Float64Array, mark: number): number {
  let at = mark % slots.length;
  while (slots[at] !== 0 && slots[at] !== mark) at = (at + 1) % slots.length;
  return at;
}
