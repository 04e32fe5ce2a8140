import type { AccountId } from "#core/ids.ts";
import type { Clock } from "#core/world.ts";
import type { ChunkFrame } from "#protocol/frames.ts";
import type { Change, Commit } from "#protocol/commit.ts";
import { refused, type Refused } from "./draft.ts";
import type { ChunkIndex } from "./metadata/port.ts";
import { ProblemError } from "./problem-error.ts";

/** How long what an account's spaces hold is believed, with what has come since added. */
const FRESH_MS = 60_000;
/** Accounts that are known at once; the one that was counted first is forgotten first. */
const MAX_ACCOUNTS = 10_000;

type Use = { heldBytes: number; readonly countedMs: number };

/**
 * How much each account may have stored: every chunk that a space of its holds, staged or linked,
 * counts once for that space, whoever else has it. So what it may still send tells nothing of
 * others. And every meta that it has committed, in which small sealed files lie: those of earlier
 * versions too, as they stay.
 */
export class Quotas {
  readonly #chunks: ChunkIndex;
  readonly #clock: Clock;
  readonly #limitBytes: number | null;
  readonly #used = new Map<AccountId, Use>();

  /** `limitBytes` null: as much as there is room for. */
  constructor(parts: { chunks: ChunkIndex; clock: Clock; limitBytes: number | null }) {
    this.#chunks = parts.chunks;
    this.#clock = parts.clock;
    this.#limitBytes = parts.limitBytes;
  }

  /** Bytes that the account may still send; null where there is no limit. */
  async room(account: AccountId): Promise<number | null> {
    if (this.#limitBytes === null) return null;
    const { heldBytes } = await this.#use(account);
    return Math.max(0, this.#limitBytes - heldBytes);
  }

  /**
   * The frames, as long as the account has room for them; throws ProblemError `over-quota` at the
   * first that it has none for.
   */
  async *within(
    account: AccountId,
    frames: AsyncIterable<ChunkFrame>,
  ): AsyncGenerator<ChunkFrame, void, undefined> {
    if (this.#limitBytes === null) {
      yield* frames;
      return;
    }
    const use = await this.#use(account);
    // Nothing is read for an account that is full already.
    if (use.heldBytes >= this.#limitBytes) throw overQuota(this.#limitBytes);
    try {
      for await (const frame of frames) {
        const bytes = frame.bytes.length;
        if (use.heldBytes + bytes > this.#limitBytes) throw overQuota(this.#limitBytes);
        // At once: of several batches that come together all count.
        use.heldBytes += bytes;
        yield frame;
      }
    } catch (error) {
      // What of it is stored is only known by counting.
      this.#used.delete(account);
      throw error;
    }
  }

  /** Refuses with `over-quota` what of a commit the account has no room for, by its node. */
  async judge(account: AccountId, { changes }: Commit): Promise<Refused | null> {
    const at = await this.#firstBeyond(account, changes.map(metaBytes));
    const change = at === null ? undefined : changes[at];
    if (change === undefined || this.#limitBytes === null) return null;
    return refused("over-quota", noRoom(this.#limitBytes), change.node);
  }

  /** What of a commit has landed. */
  landed(account: AccountId, { changes }: Commit): void {
    const use = this.#used.get(account);
    if (use !== undefined) use.heldBytes += changes.reduce((sum, one) => sum + metaBytes(one), 0);
  }

  /**
   * Of things that come together, the place of the first that the account has no room for; null
   * when there is room for all.
   */
  async #firstBeyond(account: AccountId, sizesBytes: readonly number[]): Promise<number | null> {
    if (this.#limitBytes === null || sizesBytes.every((size) => size === 0)) return null;
    let { heldBytes } = await this.#use(account);
    for (const [at, size] of sizesBytes.entries()) {
      heldBytes += size;
      if (size > 0 && heldBytes > this.#limitBytes) return at;
    }
    return null;
  }

  async #use(account: AccountId): Promise<Use> {
    const countedMs = this.#clock.monotonicMs();
    const known = this.#used.get(account);
    if (known !== undefined && countedMs - known.countedMs < FRESH_MS) return known;
    const use = { heldBytes: await this.#chunks.heldBytes(account), countedMs };
    this.#used.delete(account);
    this.#used.set(account, use);
    for (const oldest of this.#used.keys()) {
      if (this.#used.size <= MAX_ACCOUNTS) break;
      this.#used.delete(oldest);
    }
    return use;
  }
}

function metaBytes(change: Change): number {
  return "meta" in change ? Buffer.byteLength(change.meta) : 0;
}

function overQuota(limitBytes: number): ProblemError {
  const detail = noRoom(limitBytes);
  return new ProblemError("over-quota", detail, { headers: { connection: "close" } });
}

function noRoom(limitBytes: number): string {
  return (
    `The account has no room for this within its ${limitBytes} bytes: delete what is not needed, ` +
    "or ask the server's operator for more."
  );
}
