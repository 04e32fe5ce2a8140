import { InvalidArgumentError, type Command } from "commander";
import { askPassword } from "../ask-person.ts";
import { print, printJson } from "../output.ts";
import { signIn } from "../owner.ts";
import { callServer, serverUrl } from "../server-calls.ts";
import { explain, jsonOption } from "../usage.ts";

type Options = {
  readonly server: string;
  readonly account: string;
  readonly label?: string;
  readonly expires?: number;
  readonly json?: true;
};

const SECONDS: Readonly<Record<string, number>> = { m: 60, h: 3_600, d: 86_400 };

/** `30m`, `12h`, `90d` in seconds. */
export function parseDuration(text: string): number {
  const [, count, unit = ""] = /^(\d{1,6})([mhd])$/.exec(text) ?? [];
  const seconds = Number(count) * (SECONDS[unit] ?? Number.NaN);
  if (seconds >= 60) return seconds;
  throw new InvalidArgumentError("Write it like 30m, 12h or 90d.");
}

async function create({ server, account, label, expires, json }: Options): Promise<void> {
  const url = serverUrl(server);
  const calls = callServer(url);
  const { proof } = await signIn(calls, { account, password: await askPassword(account) });
  const made = await calls.createToken({
    proof,
    ...(label === undefined ? {} : { label }),
    ...(expires === undefined ? {} : { expiresInS: expires }),
  });
  const { token, expiresMs } = made;
  if (!json) return print(token);
  printJson({ token, expires: expiresMs === null ? null : new Date(expiresMs).toISOString() });
}

export function register(command: Command): void {
  const made = command
    .command("create")
    .description("make a token for a program; prints it alone, this once")
    .requiredOption("--server <url>", "the server's address")
    .requiredOption("--account <name>", "the account that the token opens")
    .option("--label <text>", "what the token is for")
    .option("--expires <time>", "valid for so long: 30m, 12h, 90d (default: no end)", parseDuration)
    .addOption(jsonOption())
    .action(create);
  explain(command, {
    examples: ["lockstep token create --server http://nas.local:7420 --account alice"],
  });
  explain(made, {
    examples: [
      "TOKEN=$(lockstep token create --server http://nas:7420 --account alice)",
      'curl -H "Authorization: Bearer $TOKEN" http://nas:7420/list_files/alice',
    ],
    about: "The password is asked for, or taken from LOCKSTEP_PASSWORD.",
  });
}
