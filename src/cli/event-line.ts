import type { LoggedEvent } from "./event-log.ts";
import { cutTo, paint, shown, timeText } from "./output.ts";

const WHAT_COLUMNS = 17;
/** What a very narrow terminal wraps rather than lose. */
const MIN_WORDS_COLUMNS = 20;

function what({ event, where }: LoggedEvent): string {
  switch (event) {
    case "united":
      return paint("yellow", event.padEnd(WHAT_COLUMNS));
    case "conflict":
      return paint("yellow", "conflict copy".padEnd(WHAT_COLUMNS));
    case "held":
      return paint("red", `held ${where ?? ""}`.padEnd(WHAT_COLUMNS));
    case "problem":
    case "halted":
      return paint("red", event.padEnd(WHAT_COLUMNS));
    case "started":
    case "stopped":
      return paint("dim", event.padEnd(WHAT_COLUMNS));
    default:
      return `${event} ${where ?? ""}`.padEnd(WHAT_COLUMNS);
  }
}

/** An event for people, at most so many columns wide: then the middle of its words gives way. */
export function eventLine(event: LoggedEvent, width: number): string {
  const { path, from, message, node } = event;
  const slash = node === "folder" ? "/" : "";
  const place = path === undefined ? "" : shown(path) + slash;
  const words = [from === undefined ? place : `${shown(from)}${slash} → ${place}`];
  if (message !== undefined) words.push(shown(message));
  const time = timeText(Date.parse(event.time), true);
  const room = Math.max(MIN_WORDS_COLUMNS, width - time.length - WHAT_COLUMNS - 4);
  const said = cutTo(words.filter(Boolean).join(": "), room);
  return `${paint("dim", time)}  ${what(event)}  ${said}`.trimEnd();
}
