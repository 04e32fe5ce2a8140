import { readFileSync } from "node:fs";

/** What `--version` says and a server tells of itself. */
export function readVersion(): string {
  const file = new URL("../../package.json", import.meta.url);
  const { version } = JSON.parse(readFileSync(file, "utf8")) as { version: string };
  return version;
}
