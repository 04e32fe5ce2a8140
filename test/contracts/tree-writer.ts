import { strict as assert } from "node:assert";
import type { CommitId, DeviceId } from "#core/ids.ts";
import type { Change, Commit, CommitAnswer } from "#protocol/commit.ts";
import { Announcer } from "../../src/server/announcer.ts";
import { nodeDigest } from "../../src/server/digest.ts";
import { Journal } from "../../src/server/journal.ts";
import type { Metadata, SpaceRow } from "../../src/server/metadata/port.ts";
import { StandingClock } from "./clock.ts";
import { newCommit, newSpace, type SpaceTraits } from "./tree.ts";

/** Somebody who commits to one space, always on top of the head that the server has. */
export class TreeWriter {
  readonly metadata: Metadata;
  readonly space: SpaceRow;
  readonly announcer = new Announcer(new StandingClock());
  readonly journal: Journal;
  nowMs = 1_000;
  device: DeviceId | undefined = undefined;

  constructor(metadata: Metadata, space: SpaceRow) {
    this.metadata = metadata;
    this.space = space;
    this.journal = new Journal({ metadata, digest: nodeDigest, announcer: this.announcer });
  }

  static async open(metadata: Metadata, traits: SpaceTraits = {}): Promise<TreeWriter> {
    return new TreeWriter(metadata, await newSpace(metadata, traits));
  }

  async commitOf(changes: Change[], commitId: CommitId = newCommit()): Promise<Commit> {
    return { commitId, base: await this.metadata.journals.head(this.space.id), changes };
  }

  /** Sends a commit as it is. */
  async send(commit: Commit): Promise<CommitAnswer> {
    const { device, nowMs } = this;
    return this.journal.commit(this.space, commit, { device, nowMs });
  }

  /** Commits the changes and returns whatever the answer is. */
  async try(...changes: Change[]): Promise<CommitAnswer> {
    return this.send(await this.commitOf(changes));
  }

  /** Commits the changes, which have to land, and returns their sequence. */
  async land(...changes: Change[]): Promise<number> {
    const answer = await this.try(...changes);
    assert(answer.outcome === "committed", JSON.stringify(answer));
    return answer.sequence;
  }

  /** Commits the changes, which have to be refused, and returns `code node`. */
  async refusal(...changes: Change[]): Promise<string> {
    const before = await this.metadata.journals.head(this.space.id);
    const answer = await this.try(...changes);
    assert(answer.outcome === "refused", JSON.stringify(answer));
    assert.deepEqual(await this.metadata.journals.head(this.space.id), before);
    return `${answer.code} ${answer.node ?? "-"}`;
  }
}
