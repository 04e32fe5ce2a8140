import { messageOf } from "#core/errors.ts";
import { Invitation, type Decide } from "./inviting.ts";
import type { LinkedFolder } from "./links.ts";
import { note, shown } from "./output.ts";
import type { TypedLines } from "./typed-lines.ts";

/** Asks the person at this terminal whether the other machine shows the same words. */
export function askAt(lines: TypedLines): Decide {
  return async ({ name, words }, signal) => {
    note(`${shown(name)} asks to join. It is the right machine if it shows these words:\n`);
    note(`  ${words}\n`);
    const answer = await lines.ask("Does it? y lets it in, anything else does not.", signal);
    return /^\s*y(es)?\s*$/i.test(answer);
  };
}

/** Lets whoever has the code in, and says whom. */
export const withoutAsking: Decide = async ({ name, words }) => {
  note(`${shown(name)} joins. It shows the words: ${words}`);
  return true;
};

/** The join codes of one folder while its engine runs: any number, each for one machine. */
export class JoinCodes implements AsyncDisposable {
  readonly #folder: LinkedFolder;
  readonly #decide: Decide;
  readonly #stop = new AbortController();
  readonly #waiting = new Set<Promise<void>>();

  constructor(folder: LinkedFolder, decide: Decide) {
    this.#folder = folder;
    this.#decide = decide;
  }

  /** A new code; whoever comes with it is dealt with from now on, beside everything else. */
  async make(server: string): Promise<string> {
    const invitation = await Invitation.make(this.#folder, server);
    const waiting = this.#wait(invitation).finally(() => this.#waiting.delete(waiting));
    this.#waiting.add(waiting);
    return invitation.code;
  }

  async #wait(made: Invitation): Promise<void> {
    await using invitation = made;
    try {
      const outcome = await invitation.wait(this.#decide, this.#stop.signal);
      if (outcome.kind === "joined") note(`${shown(outcome.name)} is a device of the account now.`);
      if (outcome.kind === "refused") note("It was not let in; its code is used up.");
    } catch (error) {
      if (!this.#stop.signal.aborted) note(messageOf(error));
    }
  }

  /** Codes that nobody has used are taken back. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#waiting);
  }
}
