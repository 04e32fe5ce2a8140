/**
 * When deletions are so many that a person is asked first (SPEC MD1, MD2). Pure: who counts and
 * remembers is `mass-guard.ts`.
 */

/** `up`: gone from this disk, not sent yet. `down`: gone at the server, not applied here yet. */
export type Direction = "up" | "down";
export const DIRECTIONS: readonly Direction[] = ["up", "down"];

export type HoldLimits = {
  /** So many nodes … */
  readonly nodes: number;
  /** … that are at least this share of the tree, */
  readonly share: number;
  /** or so many that nothing stays that was there. */
  readonly emptied: number;
};

export const HOLD_LIMITS: HoldLimits = { nodes: 200, share: 0.35, emptied: 20 };

/** Deletions of one direction this far apart are not counted together any more. */
export const BURST_MS = 10 * 60_000;
/** Who deletes elsewhere is done when nothing more was heard for so long. */
const QUIET_MS = 1_000;
/** Nobody's deletions wait longer than this for more of them. */
const MOST_WAIT_MS = 30_000;

/** The deletions of one direction, as of one plan. */
export type Burst = {
  /** Planned, and not decided on by anybody. */
  readonly planned: number;
  /** Done within the last BURST_MS without anybody's yes. */
  readonly done: number;
  /** Nodes that one look has missed, and that the next one may find elsewhere. */
  readonly doubtful: number;
  /** Nodes of the tree as it would be without all of these deletions. */
  readonly of: number;
  /** Nodes that were in sync and stay. */
  readonly staying: number;
  /** Since the last of them was planned first; since the first was. */
  readonly quietMs: number;
  readonly waitingMs: number;
};

/** `wait`: some of them may not be known yet, so it is too early to say how many they are. */
export function judge(burst: Burst, limits: HoldLimits): "go" | "wait" | "hold" {
  const { planned, done, doubtful, of, staying, quietMs, waitingMs } = burst;
  const count = planned + done;
  if (planned === 0) return "go";
  if (count >= limits.nodes && count >= limits.share * of) return "hold";
  if (count >= limits.emptied && staying === 0) return "hold";
  const isMore = doubtful > 0 || quietMs < QUIET_MS;
  const isMany = count + doubtful >= Math.min(limits.emptied, limits.nodes);
  return isMany && isMore && waitingMs < MOST_WAIT_MS ? "wait" : "go";
}

/** How many milliseconds a burst that waits may do so before it is judged anew. */
export function waitMs({ doubtful, quietMs, waitingMs }: Burst): number {
  const leftMs = MOST_WAIT_MS - waitingMs;
  return doubtful > 0 ? leftMs : Math.min(leftMs, QUIET_MS - quietMs);
}
