import type { DeviceId, NodeId } from "#core/ids.ts";
import { sameBody, type Content, type Place } from "#core/node.ts";
import { CHAIN_START } from "#protocol/chain.ts";
import type { Change } from "#protocol/commit.ts";
import { readPlainMeta } from "#protocol/meta.ts";
import type { RemoteSide } from "#sync/tree.ts";

type State = {
  readonly sequence: number;
  readonly side: RemoteSide | null;
  /** Who made it so; null where nobody said. */
  readonly author: DeviceId | null;
};

/** One line of a journal's history: a restore of the server begins another one. */
class Line {
  readonly states: Map<NodeId, State[]>;
  /** The nodes that each entry changed, from entry 1 on. */
  readonly changed: (readonly NodeId[])[];

  constructor(before: Line | null, sequence: number) {
    this.states = new Map();
    for (const [node, states] of before?.states ?? []) {
      const kept = states.filter((state) => state.sequence <= sequence);
      if (kept.length > 0) this.states.set(node, kept);
    }
    this.changed = before?.changed.slice(0, sequence) ?? [];
  }

  at(node: NodeId, sequence: number): RemoteSide | null {
    return this.states.get(node)?.findLast((state) => state.sequence <= sequence)?.side ?? null;
  }
}

/** Where a commit landed, and who sent it. */
type Landed = {
  readonly sequence: number;
  readonly chain: string;
  readonly author?: DeviceId | null;
};

/** A moment of the server: all that it knew then, in whichever line of its history. */
export type Moment = { readonly line: Line; readonly sequence: number };

/**
 * All that the server ever had, kept beside it from the commits that it took: what a device says of
 * the server is judged by this.
 */
export class Past {
  #line = new Line(null, 0);
  readonly #moments = new Map<string, Moment>();
  /** Everything that a node ever was, in all lines. */
  readonly #ever = new Map<NodeId, RemoteSide[]>();

  /** Each place and content that somebody gave a node, and `gone` where somebody deleted it. */
  readonly #deeds = new Map<NodeId, Set<string>>();

  constructor() {
    this.#moments.set(CHAIN_START, { line: this.#line, sequence: 0 });
  }

  /** A device says so, whether or not it ever lands. */
  claim(changes: readonly Change[]): void {
    for (const change of changes) {
      const deeds = this.#deeds.get(change.node) ?? new Set();
      this.#deeds.set(change.node, deeds);
      if (change.kind === "delete") deeds.add(GONE);
      if (change.kind === "create" || change.kind === "move") deeds.add(placeText(change));
      if (change.kind === "create" || change.kind === "update") {
        deeds.add(contentText(readPlainMeta(change.meta).content));
      }
    }
  }

  /** True of a state of a node that its people made, each half of it at some time. */
  wasMade(node: NodeId, side: RemoteSide | null): boolean {
    const deeds = this.#deeds.get(node);
    if (side === null) return deeds?.has(GONE) === true;
    return deeds?.has(placeText(side)) === true && deeds.has(contentText(side.content));
  }

  /** A commit landed; the same one told twice changes nothing. */
  append({ sequence, chain, author = null }: Landed, changes: readonly Change[]): void {
    this.claim(changes);
    if (this.#moments.has(chain)) return;
    const nodes = new Set<NodeId>();
    for (const change of changes) {
      const { node } = change;
      nodes.add(node);
      const before = this.#line.at(node, sequence);
      const side = applied(before, change, sequence);
      const states = this.#line.states.get(node) ?? [];
      states.push({ sequence, side, author });
      this.#line.states.set(node, states);
      if (side !== null) this.#ever.set(node, [...(this.#ever.get(node) ?? []), side]);
    }
    this.#line.changed[sequence - 1] = [...nodes];
    this.#moments.set(chain, { line: this.#line, sequence });
  }

  /** The server is as it was at this chain value; what it takes next is another history. */
  rewindTo(chain: string): void {
    const { line, sequence } = this.moment(chain) ?? { line: this.#line, sequence: 0 };
    this.#line = new Line(line, sequence);
  }

  moment(chain: string): Moment | undefined {
    return this.#moments.get(chain);
  }

  /** What the server had of a node at that moment. */
  at(node: NodeId, { line, sequence }: Moment): RemoteSide | null {
    return line.at(node, sequence);
  }

  /** All that a node was up to that moment, in order. */
  statesOf(node: NodeId, { line, sequence }: Moment): readonly State[] {
    return (line.states.get(node) ?? []).filter((state) => state.sequence <= sequence);
  }

  /** The nodes that changed between two moments of one line; none when they are of two. */
  changedBetween(from: Moment, to: Moment): NodeId[] {
    const nodes: NodeId[] = [];
    for (let at = from.sequence; at < to.sequence; at++) nodes.push(...(to.line.changed[at] ?? []));
    return nodes;
  }

  hadBody(node: NodeId, content: Content): boolean {
    return this.ever(node).some((side) => sameBody(side.content, content));
  }

  ever(node: NodeId): readonly RemoteSide[] {
    return this.#ever.get(node) ?? [];
  }
}

const GONE = "gone";

function placeText({ parent, name }: Place): string {
  return `at ${parent}/${name}`;
}

function contentText(content: Content): string {
  if (content.kind === "file") return `${content.sha256} ${content.executable}`;
  return content.kind === "symlink" ? `to ${content.target}` : content.kind;
}

function applied(before: RemoteSide | null, change: Change, sequence: number): RemoteSide | null {
  switch (change.kind) {
    case "create": {
      const { parent, name } = change;
      return { parent, name, ...readPlainMeta(change.meta), crev: sequence, lrev: sequence };
    }
    case "update":
      return before === null ? null : { ...before, ...readPlainMeta(change.meta), crev: sequence };
    case "move": {
      const { parent, name } = change;
      return before === null ? null : { ...before, parent, name, lrev: sequence };
    }
    case "delete":
      return null;
  }
}
