import { toHex } from "#core/bytes.ts";
import { assert } from "#core/assert.ts";
import { codeOf, messageOf, WorldError } from "#core/errors.ts";
import { commitId, type ContentHash, type NodeId } from "#core/ids.ts";
import type { Chance, Clock, Log } from "#core/world.ts";
import type { Change, Commit, CommitAnswer } from "#protocol/commit.ts";
import { MAX_CHANGES } from "#protocol/limits.ts";
import { Draft } from "./draft.ts";
import { readHolds } from "./holds.ts";
import { rebind, type Fresh } from "./normalise.ts";
import { shownPath } from "./paths.ts";
import type { RemoteOp } from "./planner.ts";
import type { Seal } from "./ports.ts";
import type { Problems } from "./problems.ts";
import { LARGE_BYTES } from "./reading.ts";
import { readSent, writeSent, type Position, type Sent } from "./settings.ts";
import type { FileKey, NodeRow } from "./tree.ts";
import { NoRoom, upload, type Outbound, type UploadProgress, type UploadWorld } from "./upload.ts";

/** New content of one commit, so that a cut connection costs little. */
const SLICE_BYTES = 64 * 1024 * 1024;
/** Files with new content in one commit: the others begin with them while the next are read. */
const SLICE_FILES = 256;
/** A change that the server refuses although nothing is newer is tried again after this. */
const REFUSED_RETRY_MS = 60_000;
const CONCURRENT_LARGE = 2;

export type SendWorld = Omit<UploadWorld, "isDoubtful"> & {
  readonly seal: Seal;
  readonly clock: Clock;
  readonly chance: Chance;
  readonly log: Log;
  readonly problems: Problems;
  readonly fresh: Fresh;
  readonly nameKey: (name: string) => string;
};

/** What became of one commit. `sequence`: follow to there before the next one. */
export type SendOutcome =
  | { readonly kind: "committed"; readonly sequence: number }
  | { readonly kind: "nothing" }
  | { readonly kind: "plan-again" }
  | { readonly kind: "diverged" };

/** Files that are sent while the commit before theirs is on its way, and which of them changed. */
type Ahead = { readonly files: readonly Outbound[]; readonly moved: Promise<NodeId[]> };

/**
 * Commits what is on the disk and not at the server (SPEC SE1–SE4): contents first, then one commit
 * of as many changes as go together. Large files are sent beside the tick, and committed when they
 * are at the server.
 */
export class Sender {
  readonly #world: SendWorld;
  readonly #wake: () => void;
  #ahead: Ahead = { files: [], moved: Promise.resolve([]) };
  readonly #uploading = new Map<ContentHash, Promise<void>>();
  readonly #uploaded = new Set<ContentHash>();
  readonly #refused = new Map<NodeId, number>();
  /** Nodes whose chunks the server knows otherwise than this device. */
  readonly #inFull = new Set<NodeId>();
  /** The server said that it lacks chunks: it is asked about all of a file's, not the new ones. */
  #isDoubtful = false;
  readonly progress: UploadProgress = { sentBytes: 0 };

  constructor(world: SendWorld, wake: () => void) {
    this.#world = world;
    this.#wake = wake;
  }

  /** Large files on their way. */
  get uploading(): number {
    return this.#uploading.size;
  }

  /** When a refused change is due again (ms since 1970), or null. */
  get retryMs(): number | null {
    const nowMs = this.#world.clock.nowMs();
    for (const [id, dueMs] of this.#refused) if (dueMs <= nowMs) this.#refused.delete(id);
    return this.#refused.size === 0 ? null : Math.min(...this.#refused.values());
  }

  /** Everything refused is sent again at once: somebody waits, and the reason may be gone. */
  endPauses(): void {
    this.#refused.clear();
  }

  /** The server's lists of these files' chunks are of other chunks than this device knows now. */
  nameInFull(nodes: readonly NodeId[]): void {
    for (const node of nodes) this.#inFull.add(node);
  }

  /** Sends again what was sent and never answered: the same id, so it lands once (SPEC SE3). */
  async resend(signal: AbortSignal): Promise<SendOutcome> {
    const sent = readSent(this.#world.records);
    return sent === null ? { kind: "nothing" } : this.#commit(sent, signal);
  }

  /** Sends the first slice of a plan's changes. */
  async send(
    ops: readonly RemoteOp[],
    position: Position,
    signal: AbortSignal,
  ): Promise<{ outcome: SendOutcome; done: number }> {
    const slice = this.#slice(ops);
    const taken = new Set(slice.filter((op) => this.#isTakenOver(op)).map(({ id }) => id));
    const ready = slice.filter((op) => {
      // What waits keeps its folders.
      const waits = op.kind === "delete" && taken.size > 0 && this.#isFolder(op.id);
      return !taken.has(op.id) && !waits && this.#isReady(op, signal);
    });
    const done = slice.length;
    if (ready.length === 0) return { outcome: { kind: "nothing" }, done };
    const moved = await this.#upload(this.#smallOf(ready), signal);
    if (moved === "over-quota") return { outcome: { kind: "plan-again" }, done };
    if (moved.length > 0) {
      this.#readAgain(moved);
      return { outcome: { kind: "plan-again" }, done };
    }
    const sent = this.#compose(ready, position);
    if (sent === null) return { outcome: { kind: "plan-again" }, done };
    this.#world.trees.transaction(() => writeSent(this.#world.records, sent));
    const committing = this.#commit(sent, signal);
    this.#uploadAhead(this.#smallOf(this.#slice(ops.slice(done))), signal);
    return { outcome: await committing, done };
  }

  #smallOf(ops: readonly RemoteOp[]): Outbound[] {
    const files = ops.flatMap((op) => this.#outbound(op));
    return files.filter(({ content }) => content.sizeBytes <= LARGE_BYTES);
  }

  /** Sends what was not sent ahead; returns the files that changed meanwhile. */
  async #uploadSmall(files: readonly Outbound[], signal: AbortSignal): Promise<NodeId[]> {
    const { files: early, moved } = this.#ahead;
    this.#ahead = { files: [], moved: Promise.resolve([]) };
    const gone = new Set(await moved);
    const sent = new Map(early.map(({ node, content }) => [node, content.sha256]));
    const isSent = ({ node, content }: Outbound): boolean => sent.get(node) === content.sha256;
    const rest = files.filter((file) => !isSent(file));
    const late = await upload(this.#uploadWorld, rest, this.progress, signal);
    return [...late, ...files.filter(isSent).flatMap(({ node }) => (gone.has(node) ? node : []))];
  }

  #uploadAhead(files: readonly Outbound[], signal: AbortSignal): void {
    const moved = upload(this.#uploadWorld, files, this.progress, signal);
    // The failure is met by whoever sends next; it must not count as unhandled before.
    moved.catch(() => undefined);
    this.#ahead = { files, moved };
  }

  get #uploadWorld(): UploadWorld {
    return { ...this.#world, isDoubtful: this.#isDoubtful };
  }

  async settleLarge(): Promise<void> {
    await Promise.allSettled([...this.#uploading.values(), this.#ahead.moved]);
  }

  /**
   * True for the deletion of a file that was renamed over another one, which is not read yet: both
   * are one commit, so that the others have the bytes when they need them (SPEC DL2).
   */
  #isTakenOver({ kind, id }: RemoteOp): boolean {
    const { trees } = this.#world;
    const file = kind === "delete" ? trees.get(id)?.synced?.file : undefined;
    if (file === undefined) return false;
    return trees.holding(file).some(({ local }) => local?.content === null && !local.blind);
  }

  #isFolder(id: NodeId): boolean {
    return this.#world.trees.get(id)?.kind === "folder";
  }

  /** As many changes as one commit takes, ending where nothing needs what follows. */
  #slice(ops: readonly RemoteOp[]): RemoteOp[] {
    let bytes = 0;
    let files = 0;
    let end = 0;
    for (let at = 0; at < ops.length && at < MAX_CHANGES; at++) {
      const op = ops[at];
      assert(op !== undefined, "an index within the list");
      for (const { content } of this.#outbound(op)) {
        bytes += content.sizeBytes;
        files++;
      }
      if ((bytes > SLICE_BYTES || files > SLICE_FILES) && end > 0) break;
      if (op.cut) end = at + 1;
    }
    // A ring longer than a commit cannot land whole: the server will say so.
    return ops.slice(0, end === 0 ? MAX_CHANGES : end);
  }

  #outbound({ kind, id }: RemoteOp): Outbound[] {
    if (kind !== "create" && kind !== "update") return [];
    const content = this.#world.trees.get(id)?.local?.content;
    return content?.kind === "file" ? [{ node: id, content }] : [];
  }

  #isReady(op: RemoteOp, signal: AbortSignal): boolean {
    const retryMs = this.#refused.get(op.id);
    if (retryMs !== undefined) {
      if (retryMs > this.#world.clock.nowMs()) return false;
      this.#refused.delete(op.id);
    }
    for (const file of this.#outbound(op)) {
      const { sizeBytes, sha256 } = file.content;
      if (sizeBytes <= LARGE_BYTES || this.#uploaded.has(sha256)) continue;
      if (!this.#uploading.has(sha256) && this.#uploading.size < CONCURRENT_LARGE) {
        this.#uploading.set(sha256, this.#uploadLarge(file, signal));
      }
      return false;
    }
    return true;
  }

  /** Sends small files together. Those that the account has no room for wait for a while. */
  async #upload(small: readonly Outbound[], signal: AbortSignal): Promise<NodeId[] | "over-quota"> {
    try {
      return await this.#uploadSmall(small, signal);
    } catch (error) {
      if (codeOf(error) !== "over-quota") throw error;
      // Where the server refuses what it said there was room for, others were faster: all wait.
      const nodes = error instanceof NoRoom ? error.nodes : small.map(({ node }) => node);
      for (const node of nodes) this.#hasNoRoom(node, messageOf(error));
      return "over-quota";
    }
  }

  #hasNoRoom(node: NodeId, message: string): void {
    const { clock, trees, problems } = this.#world;
    const path = shownPath(trees, node);
    problems.report("send", { path, code: "over-quota", message }, clock.nowMs());
    this.#refused.set(node, clock.nowMs() + REFUSED_RETRY_MS);
  }

  async #uploadLarge(file: Outbound, signal: AbortSignal): Promise<void> {
    const { sha256 } = file.content;
    const { clock, trees, problems } = this.#world;
    try {
      const moved = await upload(this.#uploadWorld, [file], this.progress, signal);
      if (moved.length > 0) this.#readAgain(moved);
      else this.#uploaded.add(sha256);
      problems.clear("send", shownPath(trees, file.node));
    } catch (error) {
      if (signal.aborted) return;
      if (codeOf(error) === "over-quota") return this.#hasNoRoom(file.node, messageOf(error));
      const path = shownPath(trees, file.node);
      const message = messageOf(error);
      problems.report("send", { path, code: "upload-failed", message }, clock.nowMs());
      this.#refused.set(file.node, clock.nowMs() + 2_000);
    } finally {
      this.#uploading.delete(sha256);
      this.#wake();
    }
  }

  #readAgain(nodes: readonly NodeId[]): void {
    const { trees } = this.#world;
    trees.transaction(() => {
      for (const id of nodes) {
        const row = trees.get(id);
        if (row?.local) trees.put({ ...row, local: { ...row.local, content: null } });
      }
    });
  }

  #compose(ops: readonly RemoteOp[], position: Position): Sent | null {
    const { trees, chance, records } = this.#world;
    const approved = new Set(readHolds(records).approved.up);
    const files: Record<NodeId, FileKey> = {};
    const changes: Change[] = [];
    for (const op of ops) {
      const row = trees.get(op.id);
      const change = row === undefined ? null : this.#change(op, row);
      if (row === undefined || change === null) return null;
      const isApproved = change.kind === "delete" && approved.has(op.id);
      changes.push(isApproved ? { ...change, approved: true } : change);
      if (row.local !== null) files[op.id] = row.local.file;
    }
    const { sequence, chain } = position;
    const id = commitId(toHex(chance.bytes(16)));
    const commit: Commit = { commitId: id, base: { sequence, chain }, changes };
    return { commit: this.#world.seal.sign(commit), files };
  }

  /** Null when the row is no longer what was planned on. */
  #change({ kind, id }: RemoteOp, row: NodeRow): Change | null {
    const { remote, local } = row;
    const { seal } = this.#world;
    if (kind === "delete") {
      return remote === null ? null : { kind, node: id, crev: remote.crev, lrev: remote.lrev };
    }
    if (local === null) return null;
    const { parent } = local;
    if (kind === "move") {
      if (remote === null) return null;
      return {
        kind,
        node: id,
        lrev: remote.lrev,
        parent,
        ...seal.closeName(id, parent, local.name),
      };
    }
    const content = this.#closed(row);
    if (content === null) return null;
    if (kind === "update") {
      return remote === null ? null : { kind, node: id, crev: remote.crev, ...content };
    }
    const name = seal.closeName(id, parent, local.name);
    return { kind, node: id, type: row.kind, parent, ...name, ...content };
  }

  #closed({ id, local, remote }: NodeRow): ReturnType<Seal["closeContent"]> | null {
    const { seal, records } = this.#world;
    const content = local?.content;
    if (!local || !content) return null;
    const follows = remote?.crev ?? 0;
    if (content.kind !== "file") {
      return seal.closeContent(id, follows, { content, mtimeMs: 0, manifest: [] });
    }
    const manifest = records.manifest(content.sha256);
    if (manifest === undefined) {
      this.#readAgain([id]);
      return null;
    }
    const mtimeMs = Number(local.stamp.mtimeNs / 1_000_000n);
    const before = this.#inFull.has(id) ? undefined : remote?.content;
    return seal.closeContent(id, follows, { content, mtimeMs, manifest }, before);
  }

  async #commit(sent: Sent, signal: AbortSignal): Promise<SendOutcome> {
    const { remote, trees, records } = this.#world;
    const answer = await remote.commit(sent.commit, signal);
    if (answer.outcome === "committed") {
      this.#inFull.clear();
      this.#isDoubtful = false;
      return { kind: "committed", sequence: answer.sequence };
    }
    // Refusals are remembered by the server too: this commit id can never land later.
    trees.transaction(() => writeSent(records, null));
    if (answer.outcome === "missing-chunks") {
      this.#uploaded.clear();
      this.#isDoubtful = true;
      return { kind: "plan-again" };
    }
    return this.#refusal(answer, sent.commit);
  }

  #refusal(
    answer: Extract<CommitAnswer, { outcome: "refused" }>,
    { changes }: Commit,
  ): SendOutcome {
    const { code, node, detail } = answer;
    const { log, trees, problems, clock } = this.#world;
    log.info("commit-refused", { code, detail });
    if (code === "diverged") return { kind: "diverged" };
    if (code === "epoch-old") throw new WorldError(code, detail, { retryable: true });
    if (node === undefined) return { kind: "plan-again" };
    const row = trees.get(node);
    if (code === "chunks-differ") {
      this.#inFull.add(node);
      return { kind: "plan-again" };
    }
    if (code === "over-quota") {
      // In this order: there is room for what stands before it.
      for (const later of changes.slice(changes.findIndex((change) => change.node === node))) {
        if ("meta" in later) this.#hasNoRoom(later.node, detail);
      }
      return { kind: "plan-again" };
    }
    if (code === "stale" && row?.local && row.remote === null) this.#renew(row);
    // It ends with the next plan that has nothing to send for the path.
    problems.report("send", { path: shownPath(trees, node), code, message: detail }, clock.nowMs());
    if (code === "bad-change") {
      this.#refused.set(node, clock.nowMs() + REFUSED_RETRY_MS);
    }
    return { kind: "plan-again" };
  }

  /** The server had a node of this id once: what is on the disk gets an id that was never used. */
  #renew(row: NodeRow): void {
    const { trees, fresh, nameKey } = this.#world;
    trees.transaction(() => {
      const draft = new Draft(trees, nameKey);
      rebind(draft, row, fresh);
      for (const changed of draft.records()) trees.put(changed);
    });
  }
}
