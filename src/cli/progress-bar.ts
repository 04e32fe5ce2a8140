import { SingleBar } from "cli-progress";
import { bytesText } from "./output.ts";

const BAR_FORMAT = "{bar} {done} of {whole}  {rate}/s  {left} left";

/** `1:05`, `2:03:04` */
export function durationText(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const two = (value: number): string => String(value).padStart(2, "0");
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes}:${two(whole % 60)}`;
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(whole % 60)}`;
}

/** How far bytes on their way are, with rate and time left: on stderr, when that is a terminal. */
export class ProgressBar implements Disposable {
  #bar: SingleBar | null = null;

  /** What was moved of the whole in so many seconds. */
  show(done: number, whole: number, seconds: number): void {
    if (!process.stderr.isTTY || whole === 0) return;
    const rate = done / seconds;
    const fields = {
      done: bytesText(done),
      whole: bytesText(whole),
      rate: bytesText(rate),
      left: rate === 0 ? "?" : durationText((whole - done) / rate),
    };
    if (this.#bar === null) {
      this.#bar = new SingleBar({
        format: BAR_FORMAT,
        barsize: 24,
        barCompleteChar: "█",
        barIncompleteChar: "░",
        clearOnComplete: true,
        hideCursor: true,
        stream: process.stderr,
      });
      this.#bar.start(whole, done, fields);
    }
    this.#bar.setTotal(whole);
    this.#bar.update(done, fields);
  }

  /** True when there was a bar. */
  end(): boolean {
    const wasShown = this.#bar !== null;
    this.#bar?.stop();
    this.#bar = null;
    return wasShown;
  }

  [Symbol.dispose](): void {
    this.end();
  }
}
