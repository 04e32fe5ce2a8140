import type { Readable } from "node:stream";
import { note } from "./output.ts";

type Question = { readonly text: string; readonly answer: (line: string) => void };

/**
 * Lines that a person types: each answers the oldest open question, or goes to `otherwise`. Dispose
 * of it to leave the input alone; an open question is answered with nothing then.
 */
export class TypedLines implements Disposable {
  readonly #input: Readable;
  readonly #otherwise: () => void;
  readonly #questions: Question[] = [];
  #begun = "";

  constructor(input: Readable, otherwise: () => void = () => undefined) {
    this.#input = input;
    this.#otherwise = otherwise;
    input.on("data", this.#hear);
    input.on("end", this.#end);
  }

  /** The next line for this question; empty when the signal aborts first. */
  async ask(text: string, signal: AbortSignal): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string>();
    const question = { text, answer: resolve };
    const leave = (): void => {
      this.#remove(question);
      resolve("");
    };
    signal.addEventListener("abort", leave, { once: true });
    if (signal.aborted) leave();
    else if (this.#questions.push(question) === 1) note(text);
    return promise.finally(() => signal.removeEventListener("abort", leave));
  }

  readonly #hear = (piece: Buffer | string): void => {
    const lines = (this.#begun + piece.toString()).split("\n");
    this.#begun = lines.pop() ?? "";
    for (const line of lines) {
      const [question] = this.#questions;
      if (question === undefined) this.#otherwise();
      else {
        this.#remove(question);
        question.answer(line);
      }
    }
  };

  #remove(question: Question): void {
    const at = this.#questions.indexOf(question);
    if (at === -1) return;
    this.#questions.splice(at, 1);
    const [next] = this.#questions;
    if (at === 0 && next !== undefined) note(next.text);
  }

  readonly #end = (): void => {
    for (const { answer } of this.#questions.splice(0)) answer("");
  };

  [Symbol.dispose](): void {
    this.#input.off("data", this.#hear);
    this.#input.off("end", this.#end);
    this.#input.pause();
    this.#end();
  }
}
