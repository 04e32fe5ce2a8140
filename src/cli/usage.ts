import { resolve } from "node:path";
import { Option, type Command } from "commander";
import { EXIT, type ExitCode } from "./exit.ts";
import { homeOf, type Home } from "./home.ts";

const MEANINGS: Readonly<Record<ExitCode, string>> = {
  [EXIT.done]: "done",
  [EXIT.failed]: "failed; stderr says why",
  [EXIT.wrongUsage]: "wrong usage",
  [EXIT.needsPerson]: "not in sync and waiting for a person: see lockstep status",
  [EXIT.timedOut]: "timed out",
};

const MAX_COLUMNS = 78;

type Explained = {
  readonly examples: readonly string[];
  /** Besides 0 and 2, which every command knows. */
  readonly exits?: readonly ExitCode[];
  /** What a stranger needs to know before the first try. */
  readonly about?: string;
};

function wrap(text: string): string {
  const lines: string[] = [];
  for (const word of text.split(/\s+/)) {
    const last = lines.at(-1);
    const longer = `${last} ${word}`;
    if (last === undefined || longer.length > MAX_COLUMNS) lines.push(word);
    else lines[lines.length - 1] = longer;
  }
  return lines.join("\n");
}

/** Puts examples and exit codes below a command's options. */
export function explain(command: Command, { examples, exits = [1], about }: Explained): Command {
  const codes = [EXIT.done, EXIT.wrongUsage, ...exits].sort((a, b) => a - b);
  const lines = [
    ...(about === undefined ? [] : [wrap(about), ""]),
    examples.length > 1 ? "Examples:" : "Example:",
    ...examples.map((example) => `  $ ${example}`),
    "",
    "Exit codes:",
    ...codes.map((code) => `  ${code}  ${MEANINGS[code]}`),
  ];
  return command
    .addOption(new Option("--verbose", "show what went wrong in full (stack)"))
    .addHelpText("after", `\n${lines.join("\n")}`);
}

export function jsonOption(): Option {
  return new Option("--json", "the result as JSON, for programs");
}

export function thisHome(): Home {
  return homeOf(process.env);
}

/** The folder of an argument, as an absolute path. */
export function folderArgument(dir: string): string {
  return resolve(dir);
}
