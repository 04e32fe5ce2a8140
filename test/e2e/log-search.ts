// LOCKSTEP_TEST_TRACE=1: every process that a whole-program test starts logs all that it can, and
// what they have logged is searched, when the test is over, for what no log may hold.

import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { keysFile } from "#cli/device-keys.ts";
import { listLinks } from "#cli/links.ts";

export const IS_TRACED = (process.env["LOCKSTEP_TEST_TRACE"] ?? "") !== "";

/** How a line of the log begins, among what else stands on stderr. */
const LOG_LINE = '{"level":';

/** Shorter ones stand in words that mean something else. */
const LEAST_NAME = 4;
const AROUND = 200;

/** Parts what a process writes to stderr, as it comes, into log lines and the rest. */
export class LogFilter {
  #line = "";
  /** A line has begun that is none of the log's. */
  #isOther = false;

  /** Gives what is no log. */
  take(piece: string): string {
    let other = "";
    for (const part of piece.split(/(?<=\n)/)) {
      this.#line += part;
      const isLog = this.#line.startsWith(LOG_LINE.slice(0, this.#line.length));
      if (this.#isOther || !isLog) {
        other += this.#line;
        this.#isOther = !this.#line.endsWith("\n");
        this.#line = "";
      } else if (this.#line.endsWith("\n")) this.#line = "";
    }
    return other;
  }
}

/** What a device's key file holds, but for who the device is. */
export function secretsIn(file: string): string[] {
  const json = JSON.parse(fs.readFileSync(file, "utf8")) as Record<string, string>;
  const { account, device, ...secrets } = json;
  assert.ok(account && device);
  return Object.values(secrets);
}

/** What stands in a server's database that no log may hold. */
function knownToServer(file: string): { chunks: string[]; names: string[] } {
  using database = new DatabaseSync(file, { readOnly: true });
  const all = (sql: string): string[] =>
    database
      .prepare(sql)
      .all()
      .map(({ it }) => String(it));
  return {
    chunks: all("SELECT lower(hex(id)) AS it FROM chunks"),
    names: [
      ...all("SELECT name AS it FROM accounts"),
      ...all(`SELECT DISTINCT r.name AS it FROM revisions r
        JOIN spaces s ON s.id = r.space WHERE s.kind = 'plain'`),
    ],
  };
}

/** What a machine's files hold that no log may. */
function keysIn(home: string): string[] {
  return listLinks({ path: home }).flatMap(({ link, state }) => {
    const file = keysFile(state);
    const keys = fs.existsSync(file) ? secretsIn(file) : [];
    return [link.token, link.cutKey, ...keys].filter((key) => typeof key === "string");
  });
}

/** Words, codes and tokens that a program has handed out to people. */
function handedOut(stdout: string): string[] {
  const words = stdout.match(/\b(?:[a-z]{3,8} ){23}[a-z]{3,8}\b/g) ?? [];
  const codes = [...stdout.matchAll(/lockstep join (\S+)/g)].map(([, code]) => code ?? "");
  return [...words, ...words.map((all) => all.split(" ").slice(0, 3).join(" ")), ...codes];
}

/** All files below a folder, links not followed. */
function filesBelow(folder: string): string[] {
  const entries = fs.readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name));
}

/** What of a log's line could be a name: fields say what they are, and events have theirs. */
function valuesOf(line: string): string[] {
  const isText = (value: unknown): value is string => typeof value === "string";
  try {
    const {
      event: _,
      method: __,
      what: ___,
      ...fields
    } = JSON.parse(line) as Record<string, unknown>;
    return Object.values(fields).flatMap((value) => {
      return isText(value) ? [value] : [JSON.stringify(value)];
    });
  } catch {
    // Whoever was killed did not end its last line.
    return [line];
  }
}

export type Traced = {
  /** Where everything of a test lies. */
  readonly folder: string;
  readonly homes: readonly string[];
  /** Folders that are synced. */
  readonly dirs: readonly string[];
  /** Names of files and machines that the test has made. */
  readonly names: ReadonlySet<string>;
  readonly passwords: ReadonlySet<string>;
  readonly processes: readonly { readonly stdout: string; readonly printed: string }[];
};

/** Fails where anything that a test has made stands in what its processes logged. */
export function searchLogs({ folder, homes, dirs, names, passwords, processes }: Traced): void {
  const files = filesBelow(folder).filter((file) => !dirs.some((dir) => file.startsWith(dir)));
  const logs = files.filter((file) => /\.log(\.before)?$/.test(file));
  const told = processes.map(({ printed }) => printed);
  const printed = [...told, ...logs.map((file) => fs.readFileSync(file, "utf8"))].join("\n");
  const servers = files
    .filter((file) => path.basename(file) === "metadata.sqlite")
    .flatMap((file) => knownToServer(file));
  const serverKeys = files
    .filter((file) => /^(master|key-service)\.key$/.test(path.basename(file)))
    .map((file) => fs.readFileSync(file, "utf8").trim().split(/\s+/).at(-1) ?? "");
  const secrets = new Set([
    ...passwords,
    ...serverKeys,
    ...homes.flatMap(keysIn),
    ...processes.flatMap(({ stdout }) => handedOut(stdout)),
    ...servers.flatMap(({ chunks }) => chunks),
  ]);
  for (const secret of secrets) {
    if (secret.length >= LEAST_NAME) assertAbsent(printed, printed.indexOf(secret), secret);
  }
  const forms = /[0-9a-f]{64}|ls_(dev|pat)_[A-Za-z0-9]/.exec(printed);
  assertAbsent(printed, forms?.index ?? -1, "what looks like a chunk id or a token");
  const there = dirs.flatMap((dir) => (fs.existsSync(dir) ? fs.readdirSync(dir) : []));
  const all = [...names, ...there, ...servers.flatMap((server) => server.names)];
  const longer = new Set([folder, ...all.filter((name) => name.length >= LEAST_NAME)]);
  const lines = printed.split("\n").filter((line) => line.startsWith(LOG_LINE));
  // What is said to the person at the terminal may name things; what is logged must not.
  for (const line of lines) {
    for (const value of valuesOf(line)) {
      for (const name of longer) assert.ok(!value.includes(name), `${name} is in ${line}`);
    }
  }
  console.log(`# ${lines.length} lines of log have none of ${secrets.size + longer.size} things`);
}

function assertAbsent(text: string, at: number, what: string): void {
  const around = text.slice(Math.max(0, at - AROUND), at + AROUND);
  assert.ok(at === -1, `${what} is in what was logged: ${around}`);
}
