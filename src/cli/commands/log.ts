import type { Command } from "commander";
import { InvalidArgumentError } from "commander";
import { followEvents, lastEvents } from "../event-reader.ts";
import { eventLine } from "../event-line.ts";
import type { LoggedEvent } from "../event-log.ts";
import { impliedLink } from "../links.ts";
import { columns, print } from "../output.ts";
import { stopSignal } from "../stopping.ts";
import { explain, jsonOption, thisHome } from "../usage.ts";

const DEFAULT_LINES = 50;

type Options = { readonly follow?: true; readonly lines: number; readonly json?: true };

async function log(path: string | undefined, { follow, lines, json }: Options): Promise<void> {
  const { state } = impliedLink(thisHome(), path);
  const show = (event: LoggedEvent): void =>
    print(json ? JSON.stringify(event) : eventLine(event, columns()));
  const { events, position } = lastEvents(state, lines);
  for (const event of events) show(event);
  if (follow) await followEvents(state, position, show, stopSignal());
}

function parseLines(text: string): number {
  if (text === "all") return Number.POSITIVE_INFINITY;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It is a number, or all.");
}

export function register(command: Command): void {
  command
    .argument("[path]", "a linked folder, or anything in it (default: the one around here)")
    .option("-f, --follow", "go on, a line for each thing that happens, until Ctrl-C")
    .option(
      "-n, --lines <count>",
      "how many of the latest to begin with, or all",
      parseLines,
      DEFAULT_LINES,
    )
    .addOption(jsonOption())
    .action(log);
  explain(command, {
    examples: ["lockstep log -f", "lockstep log ~/Work -n all --json"],
    about:
      `Shows the latest ${DEFAULT_LINES} events, oldest first. "here" was done on this ` +
      'machine and sent, "elsewhere" came from another one. With --json a line is one JSON ' +
      "object.",
  });
}
