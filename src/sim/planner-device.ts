import { assert } from "#core/assert.ts";
import { nodeId, type NodeId } from "#core/ids.ts";
import type { Content } from "#core/node.ts";
import type { Change } from "#protocol/commit.ts";
import type { Refused } from "#server/draft.ts";
import { Draft, type TreeView } from "#sync/draft.ts";
import { rebind } from "#sync/normalise.ts";
import { plan, type Plan, type PlanWorld, type RemoteOp } from "#sync/planner.ts";
import { agreedAt, syncedAfter } from "#sync/tree.ts";
import type { FileKey, LocalSide, NodeRow } from "#sync/tree.ts";
import type { Draw } from "./chance.ts";
import { FewRows } from "./planner-rows.ts";
import type { ModelEntry, ModelServer, SentChange } from "./planner-server.ts";
import { NO_STEP_FAULTS, seen, Steps, type StepFaults } from "./planner-steps.ts";

/** One day is enough: two devices' copies of one day are told apart by the device. */
const DATE = "2026-11-22";

const TAILS: string[] = [];

/** Ids come in no order, as they do from real chance: the planner's order is by id. */
export function drawNodeId(draw: Draw, count: number): NodeId {
  const tail = (TAILS[count] ??= count.toString(16).padStart(24, "0"));
  return nodeId((draw.word() >>> 0).toString(16).padStart(8, "0") + tail);
}

/** `renewed`: the server had a node of that id once, so it goes again under another one. */
export type Sending = "landed" | "renewed" | "nothing" | { readonly refused: string };

/**
 * A device without an engine: rows, the real planner, and a disk that is the rows' local sides. It
 * follows, plans, carries out and commits as the engine's tick does.
 */
export class ModelDevice {
  readonly number: number;
  readonly name: string;
  readonly rows: FewRows;
  readonly #server: ModelServer;
  readonly #draw: Draw;
  readonly #nameKey: (name: string) => string;
  readonly #ids: NodeId[] = [];
  #nextId = 0;
  #files = 0;
  /** Up to where the journal was followed. */
  sequence = 0;
  /** What the last plan wants committed. */
  outgoing: readonly RemoteOp[] = [];
  /** Which deletions stay undone for now (SPEC MD3); those ids begin with a lesser digit. */
  withheldBelow = 0;
  /** Contents on the disk that nobody has read yet, by their inodes. */
  readonly unread = new Map<FileKey, Content>();
  /** What was done, in words: "disk move", "commit create". */
  readonly done: string[] = [];

  constructor(
    number: number,
    server: ModelServer,
    { draw, nameKey }: { draw: Draw; nameKey: (name: string) => string },
  ) {
    this.number = number;
    this.name = String.fromCharCode(65 + number);
    this.rows = new FewRows(nameKey);
    this.#server = server;
    this.#draw = draw;
    this.#nameKey = nameKey;
  }

  readonly fresh = (): NodeId => {
    const at = this.#nextId++;
    return (this.#ids[at] ??= drawNodeId(this.#draw, (this.number << 12) + at));
  };

  readonly newFile = (): FileKey => `${this.name}${++this.#files}`;

  /** Reads the journal up to an entry, as the follower does (SPEC FO1). */
  follow(upTo: number, own: ModelEntry | null = null): void {
    for (; this.sequence < upTo; this.sequence++) {
      const entry = this.#server.entries[this.sequence];
      assert(entry !== undefined, "an entry before the head");
      for (const sent of entry.changes) this.#apply(sent, entry.sequence, entry === own);
    }
  }

  /** The disk has what the server has, and both know it: how every case begins. */
  agreeOnAll(): void {
    for (const row of this.rows.all()) {
      if (row.remote === null) continue;
      const { parent, name, content } = row.remote;
      const file = this.newFile();
      const local = seen({ parent, name }, content, file);
      const synced = agreedAt(row.remote, row.remote, content, file);
      this.rows.put({ ...row, local, synced });
    }
  }

  /** Plans and stores the records; what comes out is the same each time it is asked. */
  plan(): Plan {
    const planned = this.planOn(this.rows);
    for (const row of planned.records) this.rows.put(row);
    return planned;
  }

  planOn(view: TreeView): Plan {
    const world: PlanWorld = {
      nameKey: this.#nameKey,
      device: this.name,
      date: DATE,
      fresh: this.fresh,
    };
    const below = this.withheldBelow;
    if (below === 0) return plan(view, world);
    const isHeld = (id: NodeId): boolean => Number.parseInt(id.charAt(0), 16) < below;
    const withhold: PlanWorld["withhold"] = ({ up, down }) =>
      new Set([...up, ...down].filter(isHeld));
    return plan(view, { ...world, withhold });
  }

  /** Plans without storing anything; ids that it drew are drawn again next time. */
  peek(view: TreeView = this.rows): Plan {
    const at = this.#nextId;
    const planned = this.planOn(view);
    this.#nextId = at;
    return planned;
  }

  /** One turn without committing; false when the process ended in the middle. */
  turn(planned: Plan, faults: StepFaults = NO_STEP_FAULTS): boolean {
    this.outgoing = [];
    const steps = new Steps(this.rows, this.#draw, faults, this.newFile);
    const isAlive = steps.run(planned.local);
    for (const kind of steps.done) this.done.push(`disk ${kind}`);
    if (isAlive) this.outgoing = planned.remote;
    return isAlive;
  }

  /**
   * Sends the changes up to one of the places where a commit may end. `isReady`: files whose
   * content is still on its way stay behind, the others go (as the sender does).
   */
  send(isReady: (op: RemoteOp) => boolean): Sending {
    const cuts = this.outgoing.flatMap(({ cut }, at) => (cut ? [at + 1] : []));
    assert(cuts.at(-1) === this.outgoing.length, "a plan ends where a commit may end");
    const end = this.#draw.chance(0.4) ? this.outgoing.length : this.#draw.pick(cuts);
    const slice = this.outgoing.slice(0, end).filter(isReady);
    this.outgoing = this.outgoing.slice(end);
    const changes: SentChange[] = [];
    for (const op of slice) {
      const row = this.rows.get(op.id);
      const sent = row === undefined ? null : this.#compose(op, row);
      if (sent === null) return { refused: "it is not as planned" };
      changes.push(sent);
    }
    if (changes.length === 0) return "nothing";
    const isForeign = this.sequence < this.#server.head;
    const refused = this.#server.commit(this.number, changes);
    if (isForeign || refused !== null) this.outgoing = [];
    if (refused !== null) return this.#refused(refused);
    for (const { kind } of slice) this.done.push(`commit ${kind}`);
    this.follow(this.#server.head, this.#server.entries.at(-1));
    return "landed";
  }

  #refused({ code, node, detail }: Refused): Sending {
    const row = node === undefined ? undefined : this.rows.get(node);
    if (code !== "stale" || !row?.local || row.remote !== null) {
      return { refused: `${code}: ${detail}` };
    }
    const draft = new Draft(this.rows, this.#nameKey);
    rebind(draft, row, this.fresh);
    for (const changed of draft.records()) this.rows.put(changed);
    return "renewed";
  }

  /** Agreement is lost: the journal is read anew and both sides are united (SPEC EN3). */
  unite(): void {
    for (const row of this.rows.all()) {
      this.rows.put({ ...row, remote: null, synced: null, displacing: null, placing: null });
    }
    this.sequence = 0;
    this.outgoing = [];
  }

  #compose({ kind, id }: RemoteOp, { kind: type, remote, local }: NodeRow): SentChange | null {
    const sent = (change: Change, content: Content | null): SentChange => {
      return { change, content, file: local?.file ?? "" };
    };
    if (kind === "delete") {
      assert(local === null, "nothing is deleted that is still on the disk");
      if (remote === null) return null;
      return sent({ kind, node: id, crev: remote.crev, lrev: remote.lrev }, null);
    }
    if (!local?.content || local.parkedFrom !== null) return null;
    const { parent, name, content } = local;
    const bytes = { meta: "", chunks: [] };
    if (kind === "create") return sent({ kind, node: id, type, parent, name, ...bytes }, content);
    if (remote === null) return null;
    if (kind === "move") return sent({ kind, node: id, lrev: remote.lrev, parent, name }, null);
    return sent({ kind, node: id, crev: remote.crev, ...bytes }, content);
  }

  #apply({ change, content, file }: SentChange, sequence: number, isOwn: boolean): void {
    const row = this.rows.get(change.node);
    const after = remoteAfter(row, change, content, sequence);
    if (after === null) return;
    this.rows.put(isOwn ? readBack(after, change, file) : after);
  }
}

function remoteAfter(
  row: NodeRow | undefined,
  change: Change,
  content: Content | null,
  sequence: number,
): NodeRow | null {
  if (change.kind === "delete") return row === undefined ? null : { ...row, remote: null };
  if (change.kind === "create") {
    const { node: id, type: kind, parent, name } = change;
    assert(content !== null, "what is created has a content");
    const blank = { id, kind, synced: null, local: null as LocalSide | null };
    const remote = { parent, name, content, mtimeMs: 0, crev: sequence, lrev: sequence };
    return { ...(row ?? { ...blank, displacing: null, placing: null }), remote };
  }
  if (!row?.remote) return null;
  if (change.kind === "move") {
    const { parent, name } = change;
    return { ...row, remote: { ...row.remote, parent, name, lrev: sequence } };
  }
  assert(content !== null, "what is written has a content");
  const remote = { ...row.remote, content, crev: sequence };
  return { ...row, remote, synced: syncedAfter(row.remote, remote, row.synced) };
}

/** An own commit read back: what was sent is what both sides agree on. */
function readBack(row: NodeRow, change: Change, file: FileKey): NodeRow {
  const { remote, synced } = row;
  if (change.kind === "delete" || remote === null) return { ...row, synced: null };
  const { parent, name, content, crev, lrev } = remote;
  if (change.kind === "create" || synced === null) {
    return { ...row, synced: agreedAt(remote, remote, content, file) };
  }
  if (change.kind === "move") return { ...row, synced: { ...synced, parent, name, lrev } };
  return { ...row, synced: { ...synced, content, file, crev } };
}
