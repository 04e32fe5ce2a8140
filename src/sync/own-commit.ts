import type { NodeId } from "#core/ids.ts";
import { MAX_CHANGES } from "#protocol/limits.ts";
import type { KnownContent } from "./ports.ts";

type ClosedName = { readonly node: NodeId; readonly parent: NodeId; readonly name: string };
type ClosedContent = {
  readonly node: NodeId;
  readonly follows: number;
  readonly open: KnownContent;
};

class Closed {
  readonly names = new Map<string, ClosedName>();
  readonly contents = new Map<string, ClosedContent>();
}

/**
 * What this device closed for its latest commit, by what came of it: read back, the same text at
 * the same place is what it was made of, and need not be opened.
 */
export class OwnCommit {
  /** For the commit that is being put together. */
  #next = new Closed();
  #latest = new Closed();

  addName(text: string, closed: ClosedName): void {
    this.#dropGivenUp();
    this.#next.names.set(text, closed);
  }

  addContent(text: string, closed: ClosedContent): void {
    this.#dropGivenUp();
    this.#next.contents.set(text, closed);
  }

  /** The commit is complete. */
  complete(): void {
    this.#latest = this.#next;
    this.#next = new Closed();
  }

  forget(): void {
    this.#latest = new Closed();
  }

  name(text: string, node: NodeId, parent: NodeId): string | undefined {
    const closed = this.#latest.names.get(text);
    return closed?.node === node && closed.parent === parent ? closed.name : undefined;
  }

  content(text: string, node: NodeId, follows: number): KnownContent | undefined {
    const closed = this.#latest.contents.get(text);
    return closed?.node === node && closed.follows === follows ? closed.open : undefined;
  }

  /** A commit that was not completed leaves what was closed for it: more than one holds is that. */
  #dropGivenUp(): void {
    const { names, contents } = this.#next;
    if (Math.max(names.size, contents.size) >= MAX_CHANGES) this.#next = new Closed();
  }
}
