import { Option, type Command } from "commander";
import { DEFAULT_PORT } from "#server/config.ts";
import { startServer } from "#server/main.ts";
import { print } from "../output.ts";
import { stopSignal } from "../stopping.ts";
import { serverConfig, withKeeping, type ServerFlags } from "../server-settings.ts";
import { explain } from "../usage.ts";
import { readVersion } from "../version.ts";

type Options = Omit<ServerFlags, "metricsToken" | "log" | "logFile">;

/** Begins to listen for signals first: one that comes while the server starts is not lost. */
export async function serve(options: Options): Promise<void> {
  const stop = stopSignal();
  const server = await startServer(serverConfig(options), readVersion());
  print(`listening on ${server.address.url}`);
  await new Promise<void>((resolve) => {
    if (stop.aborted) resolve();
    else stop.addEventListener("abort", () => resolve(), { once: true });
  });
  await server.close();
}

export function register(command: Command): void {
  withKeeping(command)
    .addOption(new Option("--data <dir>", "where everything is kept (default: in LOCKSTEP_HOME)"))
    .option("--host <host>", "the address to listen on (default: 127.0.0.1)")
    .option("--port <port>", `the port, 0 for any free one (default: ${DEFAULT_PORT})`)
    .option("--database <url>", "sqlite:PATH, postgres://…, mongodb://… (default: in --data)")
    .option("--chunks <url>", "file:PATH or s3://BUCKET?endpoint=… (default: inside --data)")
    .option("--key-file <path>", "what contents are closed with (default: inside --data)")
    .option(
      "--key-service <path>",
      "the key service's own key file, or off (default: inside --data)",
    )
    .option("--collect-every <time>", "how often to free what nobody needs, or off (default: 24h)")
    .action(serve);
  explain(command, {
    examples: [
      "lockstep serve --data /srv/lockstep",
      "lockstep serve --data /srv/lockstep --host 0.0.0.0 --port 7420",
    ],
    about:
      "Prints one line, listening on http://HOST:PORT, when it is ready; logs go to stderr. " +
      "Only this machine can reach it unless --host says otherwise. Put a proxy with TLS " +
      "before it wherever the network is not your own. Ctrl-C or SIGTERM stops it cleanly.",
  });
}
