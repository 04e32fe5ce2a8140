import { Command, CommanderError } from "commander";
import { messageOf } from "#core/errors.ts";
import { EXIT, exitCodeOf } from "./exit.ts";
import { readVersion } from "./version.ts";

type Registered = { readonly register: (command: Command) => void };

/** Every command, its summary, and where it is: only the one that is called is loaded. */
const COMMANDS: Readonly<
  Record<string, readonly [summary: string, load: () => Promise<Registered>]>
> = {
  serve: ["run a server alone", () => import("./commands/serve.ts")],
  account: ["make an account on a server", () => import("./commands/account.ts")],
  link: ["bind a folder to an account", () => import("./commands/link.ts")],
  sync: ["keep a linked folder in sync", () => import("./commands/sync.ts")],
  wait: ["return when nothing is left to do", () => import("./commands/wait.ts")],
  status: ["what is going on", () => import("./commands/status.ts")],
  token: ["tokens for programs that use the REST calls", () => import("./commands/token.ts")],
};

function calledName(args: readonly string[]): string | undefined {
  const [first, second] = args.filter((arg) => !arg.startsWith("-"));
  return first === "help" ? second : first;
}

async function buildProgram(args: readonly string[]): Promise<Command> {
  const program = new Command("lockstep")
    .description("Keeps folders the same on all your machines, through a server that you run.")
    .version(readVersion(), "--version", "print the version")
    .option("--verbose", "show what went wrong in full (stack)")
    .showSuggestionAfterError()
    .exitOverride();
  const called = calledName(args);
  for (const [name, [summary, load]] of Object.entries(COMMANDS)) {
    // Made by hand, so that a group of commands has the program's behaviour too.
    const command = program.command(name).description(summary);
    if (name === called) (await load()).register(command);
  }
  return program;
}

/** Runs one command and gives the process's exit code. */
async function main(args: readonly string[]): Promise<number> {
  try {
    const program = await buildProgram(args);
    if (args.length === 0) {
      program.outputHelp();
      return EXIT.wrongUsage;
    }
    await program.parseAsync(args, { from: "user" });
    return Number(process.exitCode ?? EXIT.done);
  } catch (error) {
    // Commander has said what is wrong with the arguments, or printed the help.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.wrongUsage;
    process.stderr.write(`lockstep: ${messageOf(error)}\n`);
    if (args.includes("--verbose")) console.error(error);
    return exitCodeOf(error);
  }
}

// A closed pipe (`lockstep log | head`) is the reader's choice, no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  process.exit(error.code === "EPIPE" ? EXIT.done : EXIT.failed);
});
process.exitCode = await main(process.argv.slice(2));
