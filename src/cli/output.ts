import { stripVTControlCharacters, styleText } from "node:util";

type Style = "bold" | "dim" | "green" | "yellow" | "red" | "cyan";

/** Words for people go to stdout; on a pipe, with NO_COLOR or TERM=dumb they are plain. */
export function print(text = ""): void {
  process.stdout.write(`${text}\n`);
}

/** The result for a program: one JSON document. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

/** Words beside the result: not part of what a pipe carries. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

export function paint(style: Style, text: string): string {
  if (!process.stdout.isTTY || process.env["NO_COLOR"]) return text;
  if (process.env["TERM"] === "dumb") return text;
  return styleText(style, text, { validateStream: false });
}

/** Columns of the terminal; what is piped is not cut. */
export function columns(): number {
  return process.stdout.isTTY ? Math.max(40, process.stdout.columns || 80) : Infinity;
}

/** Control characters as what they are: a file's name must not move the cursor. */
export function shown(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

function width(text: string): number {
  return Array.from(stripVTControlCharacters(text)).length;
}

/** Cuts the middle out of a text that is too wide: both ends of a path say something. */
export function cutTo(text: string, atMost: number): string {
  const characters = Array.from(text);
  if (characters.length <= atMost) return text;
  const head = Math.floor((atMost - 1) / 3);
  const tail = atMost - 1 - head;
  return `${characters.slice(0, head).join("")}…${characters.slice(-tail).join("")}`;
}

export type Column = {
  readonly title: string;
  readonly right?: boolean;
  /** True for the one that gives way when the terminal is narrow. */
  readonly flexible?: boolean;
};

/** Rows in columns, two spaces between, never wider than the terminal. */
export function table(header: readonly Column[], rows: readonly (readonly string[])[]): string {
  const widths = header.map(({ title }, at) =>
    Math.max(title.length, ...rows.map((row) => width(row[at] ?? ""))),
  );
  const total = widths.reduce((sum, each) => sum + each + 2, -2);
  const flexible = header.findIndex((column) => column.flexible);
  const over = total - columns();
  if (over > 0 && flexible >= 0) {
    widths[flexible] = Math.max(12, (widths[flexible] ?? 0) - over);
  }
  const line = (cells: readonly string[]): string =>
    header
      .map(({ right = false }, at) => {
        const room = widths[at] ?? 0;
        const cell = at === flexible ? cutTo(cells[at] ?? "", room) : (cells[at] ?? "");
        const gap = " ".repeat(Math.max(0, room - width(cell)));
        return right ? gap + cell : cell + gap;
      })
      .join("  ")
      .trimEnd();
  const titles = paint("bold", line(header.map(({ title }) => title)));
  return [titles, ...rows.map(line)].join("\n");
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

/** `1.5 MiB` */
export function bytesText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** `2026-03-01 14:05`, in this machine's time zone. */
export function timeText(timeMs: number, seconds = false): string {
  const time = new Date(timeMs);
  const two = (value: number): string => String(value).padStart(2, "0");
  const date = [time.getFullYear(), two(time.getMonth() + 1), two(time.getDate())].join("-");
  const clock = [two(time.getHours()), two(time.getMinutes())];
  if (seconds) clock.push(two(time.getSeconds()));
  return `${date} ${clock.join(":")}`;
}

/** `3 files`, `1 file` */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
