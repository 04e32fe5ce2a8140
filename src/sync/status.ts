import type { Problem } from "./problems.ts";

export type SyncState = "in-sync" | "working" | "offline" | "held" | "halted";

/** What `lockstep status` shows of one folder. */
export type Status = {
  readonly state: SyncState;
  /** One sentence, where the state wants one. */
  readonly reason: string | null;
  /**
   * Changes that wait to be sent, and steps that wait to be done on this disk; not those that only
   * a person can clear the way for, which are problems.
   */
  readonly pending: { readonly up: number; readonly down: number };
  readonly problems: readonly Problem[];
  readonly holds: number;
  readonly conflicts: number;
  /** Bytes moved since the engine started. */
  readonly sentBytes: number;
  readonly receivedBytes: number;
};
