import { Command, CommanderError } from "commander";
import { messageOf } from "#core/errors.ts";
import { EXIT, exitCodeOf } from "./exit.ts";
import { loadLean } from "./lean-modules.ts";
import { readVersion } from "./version.ts";

type Registered = { readonly register: (command: Command) => void };

type Entry = { readonly summary: string; readonly load: () => Promise<Registered> };

/** Every command and where it is: only the one that is called is loaded. */
const COMMANDS: Readonly<Record<string, Entry>> = {
  up: {
    summary: "server, account, device and folder at once",
    load: () => import("./commands/up.ts"),
  },
  join: {
    summary: "join the account behind a code",
    load: () => import("./commands/join.ts"),
  },
  sync: {
    summary: "keep a linked folder in sync",
    load: () => import("./commands/sync.ts"),
  },
  wait: {
    summary: "return when nothing is left to do",
    load: () => import("./commands/wait.ts"),
  },
  status: {
    summary: "what is going on",
    load: () => import("./commands/status.ts"),
  },
  why: {
    summary: "why one path is not in sync",
    load: () => import("./commands/why.ts"),
  },
  log: {
    summary: "what happened, a line an event",
    load: () => import("./commands/log.ts"),
  },
  history: {
    summary: "the versions of a file",
    load: () => import("./commands/history.ts"),
  },
  restore: {
    summary: "bring a version of a file back",
    load: () => import("./commands/restore.ts"),
  },
  trash: {
    summary: "what was deleted",
    load: () => import("./commands/trash.ts"),
  },
  conflicts: {
    summary: "conflict copies that are still there",
    load: () => import("./commands/conflicts.ts"),
  },
  holds: {
    summary: "mass deletions that wait for you: list, approve, reject",
    load: () => import("./commands/holds.ts"),
  },
  ignore: {
    summary: "which ignore rule decides on a path",
    load: () => import("./commands/ignore.ts"),
  },
  devices: {
    summary: "the account's devices: list, add, revoke",
    load: () => import("./commands/devices.ts"),
  },
  password: {
    summary: "choose another password",
    load: () => import("./commands/password.ts"),
  },
  recovery: {
    summary: "back into the account with its 24 words",
    load: () => import("./commands/recovery.ts"),
  },
  serve: {
    summary: "run a server alone",
    load: () => import("./commands/serve.ts"),
  },
  backup: {
    summary: "copy a server's data while it runs, and put it back",
    load: () => import("./commands/backup.ts"),
  },
  gc: {
    summary: "free what a server keeps for nobody",
    load: () => import("./commands/gc.ts"),
  },
  scrub: {
    summary: "read all that a server has stored, and find what is damaged",
    load: () => import("./commands/scrub.ts"),
  },
  account: {
    summary: "make an account on a server",
    load: () => import("./commands/account.ts"),
  },
  link: {
    summary: "bind a folder to an account",
    load: () => import("./commands/link.ts"),
  },
  unlink: {
    summary: "forget the link of a folder",
    load: () => import("./commands/unlink.ts"),
  },
  token: {
    summary: "tokens for programs that use the REST calls",
    load: () => import("./commands/token.ts"),
  },
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
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .showHelpAfterError("See lockstep --help, or lockstep COMMAND --help.")
    .configureOutput({
      outputError: (text, write) => write(text.replace(/^error: /, "lockstep: ")),
    })
    .exitOverride();
  const called = calledName(args);
  for (const [name, { summary, load }] of Object.entries(COMMANDS)) {
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
loadLean();
process.exitCode = await main(process.argv.slice(2));
