import { InvalidArgumentError, type Command } from "commander";
import type { Status } from "#sync/status.ts";
import { ask } from "../control.ts";
import { CommandError, EXIT } from "../exit.ts";
import { readHalt } from "../halt.ts";
import { requireLink, type LinkedFolder } from "../links.ts";
import { verdictOf } from "../settling.ts";
import { explain, thisHome } from "../usage.ts";

const DEFAULT_TIMEOUT_S = 60;
/** How often it is tried again while no engine runs. */
const RETRY_MS = 50;
/** What an engine may take from its start to where it answers. */
const GRACE_MS = 3_000;

type Options = { readonly timeout: number };

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Resolves when the engine has settled; throws when it is stuck, or the signal's reason. */
async function waitFor(folder: LinkedFolder, signal: AbortSignal): Promise<void> {
  const beganMs = Date.now();
  for (;;) {
    signal.throwIfAborted();
    const reply = await ask(folder.state, { ask: "settle" }, signal);
    const halt = reply === null ? readHalt(folder) : null;
    // One that halted before may be followed by another that is starting right now.
    const isFresh = halt !== null && halt.timeMs >= beganMs;
    if (halt !== null && (isFresh || Date.now() - beganMs > GRACE_MS))
      throw new CommandError(halt.message, EXIT.needsPerson);
    if (reply !== null) {
      const verdict = verdictOf(reply.answer as Status);
      if (verdict.kind === "in-sync") return;
      if (verdict.kind === "stuck") throw new CommandError(verdict.reason, verdict.exitCode);
    }
    await pause(RETRY_MS);
  }
}

async function timedOut(folder: LinkedFolder, timeout: number): Promise<CommandError> {
  const { dir } = folder.link;
  const reply = await ask(folder.state, { ask: "status" }, AbortSignal.timeout(2_000)).catch(
    () => null,
  );
  if (reply === null) {
    const next = `start one with lockstep sync, or give it longer with --timeout`;
    return new CommandError(`No engine of ${dir} ran for ${timeout} s: ${next}.`, EXIT.timedOut);
  }
  const { state, reason, pending } = reply.answer as Status;
  const left = `${pending.up} to send, ${pending.down} to receive`;
  const why = state === "offline" && reason !== null ? reason : `${left}: see lockstep status.`;
  return new CommandError(`${dir} was not in sync after ${timeout} s; ${why}`, EXIT.timedOut);
}

async function wait(dir: string, { timeout }: Options): Promise<void> {
  const folder = requireLink(thisHome(), dir);
  const signal = AbortSignal.timeout(timeout * 1_000);
  try {
    await waitFor(folder, signal);
  } catch (error) {
    if (signal.aborted && error === signal.reason) throw await timedOut(folder, timeout);
    throw error;
  }
}

function parseSeconds(text: string): number {
  if (/^\d{1,6}(\.\d+)?$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It is a number of seconds.");
}

export function register(command: Command): void {
  command
    .argument("<dir>", "a folder that another process keeps in sync")
    .option("--timeout <seconds>", "give up after so long", parseSeconds, DEFAULT_TIMEOUT_S)
    .action(wait);
  explain(command, {
    examples: ["lockstep wait ~/Work --timeout 120 && echo everything is on the server"],
    exits: [1, 3, 4],
    about:
      "Has the running engine look at the whole folder and at the server once more, and " +
      "returns when nothing is left to do in either direction. While no engine runs, it waits " +
      "for one to start.",
  });
}
