import { wrongUsage } from "./exit.ts";

/** The password from LOCKSTEP_PASSWORD, or asked for where there is somebody to ask. */
export async function askPassword(account: string, twice = false): Promise<string> {
  const given = process.env["LOCKSTEP_PASSWORD"];
  if (given !== undefined && given !== "") return given;
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw wrongUsage(
      `The password of ${account} is not known: set LOCKSTEP_PASSWORD, or run this in a terminal.`,
    );
  }
  const { isCancel, password } = await import("@clack/prompts");
  const ask = async (message: string): Promise<string> => {
    const typed = await password({ message, output: process.stderr });
    if (isCancel(typed)) throw wrongUsage("Nothing was done: no password was given.");
    return typed;
  };
  const first = await ask(`Password of ${account}`);
  if (twice && (await ask("The same password again")) !== first) {
    throw wrongUsage("The two passwords differ; run the command again.");
  }
  return first;
}
