import { wrongUsage } from "./exit.ts";

/** The password from LOCKSTEP_PASSWORD, or asked for where there is somebody to ask. */
export async function askPassword(account: string, twice = false): Promise<string> {
  return askSecret("LOCKSTEP_PASSWORD", `Password of ${account}`, twice);
}

/** What only the owner knows, from a variable of the environment or from the keyboard, unseen. */
export async function askSecret(variable: string, what: string, twice = false): Promise<string> {
  const given = process.env[variable];
  if (given !== undefined && given !== "") return given;
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw wrongUsage(`${what} is not known: set ${variable}, or run this in a terminal.`);
  }
  const { isCancel, password } = await import("@clack/prompts");
  const ask = async (message: string): Promise<string> => {
    const typed = await password({ message, output: process.stderr });
    if (isCancel(typed)) throw wrongUsage("Nothing was done: no answer was given.");
    return typed;
  };
  const first = await ask(what);
  if (twice && (await ask("The same again")) !== first) {
    throw wrongUsage("The two differ; run the command again.");
  }
  return first;
}
