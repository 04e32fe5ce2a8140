import type { CommitId } from "#core/ids.ts";
import type { Entry } from "#protocol/feed.ts";
import { readPosition, readSent, unitedHead } from "#sync/settings.ts";
import type { MemoryStore } from "./memory-store.ts";

/**
 * What a device sent that the older database which it was given does not know. Whoever reads such a
 * commit in the journal knows by it that all that was agreed on since is unknown (EN3).
 */
export class Forgotten {
  readonly #commits: ReadonlySet<CommitId>;
  readonly #knownTo: number;

  /** `sent` are all commits of all its lives. */
  constructor(store: MemoryStore, sent: ReadonlySet<CommitId>) {
    const known = readSent(store)?.commit.commitId;
    this.#commits = new Set([...sent].filter((commit) => commit !== known));
    // A union that has just begun knows all that the server has by then.
    const united = store.setting("united") === "" ? Number.POSITIVE_INFINITY : unitedHead(store);
    this.#knownTo = Math.max(readPosition(store, "").sequence, united);
  }

  among(entries: readonly Entry[]): Entry[] {
    return entries.filter(({ sequence, commitId }) => {
      return sequence > this.#knownTo && this.#commits.has(commitId);
    });
  }
}
