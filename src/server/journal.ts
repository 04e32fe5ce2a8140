import { WorldError } from "#core/errors.ts";
import type { DeviceId, SpaceId } from "#core/ids.ts";
import type { Digest } from "#core/world.ts";
import { nextChain } from "#protocol/chain.ts";
import type { Commit, CommitAnswer } from "#protocol/commit.ts";
import type { Entry, Feed } from "#protocol/feed.ts";
import { MAX_FEED_ENTRIES } from "#protocol/limits.ts";
import type { Announcer } from "./announcer.ts";
import { readCursor, writeCursor } from "./cursor.ts";
import { draftOf, refused } from "./draft.ts";
import { judge, type Verdict } from "./judge.ts";
import { nameInFull } from "./kept-chunks.ts";
import type { Head, Metadata, SpaceRow } from "./metadata/port.ts";
import type { Quotas } from "./quotas.ts";
import { signedParts, unfitFor } from "./sealed-commits.ts";
import { loadView } from "./view.ts";

/** Commits that may wait for their turn in one space. */
const MAX_WAITING_COMMITS = 256;

/** How often a commit is judged again because another process took its sequence. */
const MAX_RACES = 100;

/** Entries in one answer of the feed stop at about this size, as stored; one always fits. */
const MAX_FEED_BYTES = 8 * 1024 * 1024;

/** Entries that are kept at hand, one a space, and how large one may be. */
const MAX_KEPT = 16;
const MAX_KEPT_BYTES = 2 * 1024 * 1024;

export type Author = {
  /** The device that commits; undefined when a REST call does. */
  readonly device: DeviceId | undefined;
  readonly nowMs: number;
};

type Queue = { tail: Promise<unknown>; waiting: number };

/** Appends commits to spaces' journals, one at a time a space, and reads them back. */
export class Journal {
  readonly #metadata: Pick<Metadata, "journals" | "chunks" | "scrub">;
  readonly #digest: Digest;
  readonly #announcer: Announcer;
  readonly #quotas: Quotas | undefined;
  readonly #queues = new Map<SpaceId, Queue>();
  /** What was appended last: those who wait for it ask for it at once. */
  readonly #latest = new Map<SpaceId, Entry>();

  constructor(world: {
    readonly metadata: Pick<Metadata, "journals" | "chunks" | "scrub">;
    readonly digest: Digest;
    readonly announcer: Announcer;
    readonly quotas?: Quotas;
  }) {
    this.#quotas = world.quotas;
    this.#metadata = world.metadata;
    this.#digest = world.digest;
    this.#announcer = world.announcer;
  }

  /**
   * Appends the commit or says why not; durable and announced when the promise resolves. The same
   * commit id again gets the same answer, whatever else the commit holds. Throws WorldError
   * `unavailable` when too many commits wait for this space already.
   */
  async commit(space: SpaceRow, commit: Commit, author: Author): Promise<CommitAnswer> {
    const queue = this.#queues.get(space.id) ?? { tail: Promise.resolve(), waiting: 0 };
    if (queue.waiting >= MAX_WAITING_COMMITS) {
      throw new WorldError("unavailable", "Too many commits wait for this space: try later.", {
        retryable: true,
      });
    }
    this.#queues.set(space.id, queue);
    queue.waiting++;
    const answer = queue.tail.then(() => this.#commitNow(space, commit, author));
    queue.tail = answer.catch(() => {});
    try {
      return await answer;
    } finally {
      queue.waiting--;
      if (queue.waiting === 0) this.#queues.delete(space.id);
    }
  }

  /**
   * Entries behind the cursor, at most `limit` and about 8 MiB of them, or `reset` when the cursor
   * is of no past of this journal.
   */
  async feed(
    space: SpaceRow,
    cursor: string,
    limit: number = MAX_FEED_ENTRIES,
  ): Promise<Feed | "reset"> {
    const { journals, scrub } = this.#metadata;
    const head = await journals.head(space.id);
    const from = readCursor(space, head.sequence, cursor);
    if (from === "reset") return "reset";
    const entries = this.#newest(space.id, from, head) ?? (await this.#read(space, from, limit));
    const reached = entries.at(-1)?.sequence ?? from;
    const isLacking = (await scrub.quarantined(space.id, 1)).length > 0;
    return {
      entries,
      cursor: writeCursor(space, reached),
      head: Math.max(head.sequence, reached),
      ...restoresOf(space),
      ...(isLacking ? { lacking: true } : {}),
    };
  }

  async #read(space: SpaceRow, from: number, limit: number): Promise<Entry[]> {
    const count = Math.min(limit, MAX_FEED_ENTRIES);
    return this.#metadata.journals.entries(space.id, from, count, MAX_FEED_BYTES);
  }

  /** The entry that this process appended last, when that is all there is beyond `from`. */
  #newest(space: SpaceId, from: number, head: Head): Entry[] | undefined {
    const latest = this.#latest.get(space);
    if (latest?.sequence !== from + 1) return undefined;
    return latest.sequence === head.sequence && latest.chain === head.chain ? [latest] : undefined;
  }

  #keepLatest(space: SpaceId, entry: Entry): void {
    this.#latest.delete(space);
    if (sizeOf(entry) > MAX_KEPT_BYTES) return;
    this.#latest.set(space, entry);
    for (const oldest of this.#latest.keys()) {
      if (this.#latest.size <= MAX_KEPT) return;
      this.#latest.delete(oldest);
    }
  }

  async #commitNow(space: SpaceRow, commit: Commit, author: Author): Promise<CommitAnswer> {
    const { journals } = this.#metadata;
    for (let race = 0; race < MAX_RACES; race++) {
      const known = await journals.answered(space.id, commit.commitId);
      if (known !== undefined) return known;
      const head = await journals.head(space.id);
      const fits = await this.#judge(space, commit, { head, author });
      const beyond =
        fits.outcome === "accepted" && (await this.#quotas?.judge(space.account, commit));
      const verdict = beyond || fits;
      if (verdict.outcome !== "accepted") {
        await journals.rememberRefusal(space.id, commit.commitId, verdict, author.nowMs);
        // Another process may have answered first, and then that answer stands.
        return (await journals.answered(space.id, commit.commitId)) ?? verdict;
      }
      const entry = this.#entry(commit, author, head);
      const appended = await journals.append(space.id, { entry, nodes: verdict.nodes });
      if (appended !== "appended") continue;
      this.#keepLatest(space.id, entry);
      this.#quotas?.landed(space.account, commit);
      this.#announcer.announce(space.id, entry.sequence);
      return { outcome: "committed", sequence: entry.sequence, chain: entry.chain };
    }
    throw new WorldError(
      "unavailable",
      "Other servers kept taking this commit's turn: try later.",
      {
        retryable: true,
      },
    );
  }

  /**
   * `head` was read before anything else, so that whatever changes meanwhile makes the append race.
   */
  async #judge(
    space: SpaceRow,
    commit: Commit,
    { head, author }: { readonly head: Head; readonly author: Author },
  ): Promise<Verdict> {
    const { journals } = this.#metadata;
    const { base } = commit;
    // Its keys may have changed since the caller read the row.
    const keys = space.kind === "plain" ? space : ((await journals.space(space.id)) ?? space);
    const unfit = unfitFor(keys, commit, { head, device: author.device });
    if (unfit !== undefined) return unfit;
    if ((await journals.chainAt(space.id, base.sequence)) !== base.chain) {
      return refused("diverged", `The base ${base.sequence} is not in this journal's past.`);
    }
    const draft = draftOf(commit, space);
    if ("outcome" in draft) return draft;
    const view = await loadView(this.#metadata, space.id, draft);
    const full = nameInFull(draft, view, this.#digest);
    return "outcome" in full ? full : judge(full, view, head.sequence + 1);
  }

  #entry(commit: Commit, { device, nowMs }: Author, head: Head): Entry {
    const entry = {
      sequence: head.sequence + 1,
      commitId: commit.commitId,
      ...(device === undefined ? {} : { device }),
      timeMs: nowMs,
      changes: commit.changes,
      ...signedParts(commit),
    };
    return { ...entry, chain: nextChain(this.#digest, head.chain, entry) };
  }
}

/** About what an entry takes in memory. */
function sizeOf({ changes }: Entry): number {
  return changes.reduce((sum, change) => {
    const chunks = "chunks" in change ? change.chunks.length : 0;
    return sum + 300 + 80 * chunks + ("meta" in change ? change.meta.length : 0);
  }, 0);
}

function restoresOf({ restores }: SpaceRow): Pick<Feed, "restores"> {
  return restores === undefined ? {} : { restores: [...restores] };
}
