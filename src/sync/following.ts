import { WorldError } from "#core/errors.ts";
import type { Clock, Log } from "#core/world.ts";
import { Feeder } from "./feeder.ts";
import type { Follower } from "./follow.ts";
import type { Remote } from "./ports.ts";
import type { SendOutcome } from "./send.ts";
import type { Position } from "./settings.ts";

type FeedWorld = { readonly remote: Remote; readonly clock: Clock; readonly log: Log };

/** Whose commits were applied; `plan-again`: a commit did not fit, and the plan is void. */
export type Followed = "own" | "foreign" | "plan-again";

/** The feed of the space, and how far this device has applied it (SPEC FO1–FO5). */
export class Following {
  readonly #world: FeedWorld;
  readonly #follower: Follower;
  readonly #wake: () => void;
  #feeder: Feeder | null = null;
  #feeding: AbortController | null = null;

  constructor(world: FeedWorld, follower: Follower, wake: () => void) {
    this.#world = world;
    this.#follower = follower;
    this.#wake = wake;
  }

  /** Begins to ask for what comes after the cursor on record; what was asked before is let go. */
  start(signal: AbortSignal): void {
    this.#feeding?.abort();
    const feeding = new AbortController();
    signal.addEventListener("abort", () => feeding.abort(), { once: true });
    const feeder = new Feeder(this.#world, this.position.cursor, this.#wake);
    this.#feeding = feeding;
    this.#feeder = feeder;
    // A failure that waiting cannot heal is met by the next tick, through `failure`.
    void feeder.run(feeding.signal);
  }

  stop(): void {
    this.#feeding?.abort();
  }

  /** Asks the server at once how far it is. */
  refresh(): void {
    this.#feeder?.refresh();
  }

  get position(): Position {
    return this.#follower.position;
  }

  /** Why the feed gives nothing at this moment; null when it does, or was not begun. */
  get failure(): WorldError | null {
    return this.#feeder?.failure ?? null;
  }

  /** Whether the server's copies of some chunks are damaged. */
  get isLacking(): boolean {
    return this.#feeder?.isLacking ?? false;
  }

  /** Level with the server, as far as it is known. */
  get isLevel(): boolean {
    const feeder = this.#feeder;
    if (feeder === null || feeder.failure !== null || !feeder.answered) return false;
    return this.position.sequence >= feeder.head;
  }

  /**
   * The same, for who is about to plan: deciding on half a journal is noise. Throws what waiting
   * cannot heal.
   */
  isCaughtUp(): boolean {
    const { failure } = this;
    if (failure !== null && !failure.retryable) throw failure;
    return this.isLevel;
  }

  /** Applies what came; true when anything but own commits was in it. */
  apply(): boolean {
    let foreign = false;
    const feeder = this.#feeder;
    for (let page = feeder?.first; page !== undefined; page = feeder?.first) {
      if (this.#follower.apply(page.cursor, page.feed)) foreign = true;
      // What could not be applied (a full disk, a question that nobody answered) comes again.
      feeder?.drop();
    }
    return foreign;
  }

  /** Follows the journal to an own commit; tells whether others' came with it. */
  async follow(outcome: SendOutcome, signal: AbortSignal): Promise<Followed> {
    switch (outcome.kind) {
      case "nothing":
        return "own";
      case "plan-again":
        return "plan-again";
      case "diverged":
        throw new WorldError("diverged", "The server's journal is not the one that was followed.");
      case "committed":
        break;
    }
    let foreign = false;
    while (this.position.sequence < outcome.sequence) {
      signal.throwIfAborted();
      // A feeder that has ended gives nothing more: nobody waits for it.
      if (this.failure?.retryable === false) throw this.failure;
      await this.#feeder?.next(signal);
      const { failure } = this;
      if (this.apply()) foreign = true;
      else if (failure !== null) throw failure;
    }
    return foreign ? "foreign" : "own";
  }
}
