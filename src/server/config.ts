import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { z } from "zod";
import { WorldError } from "#core/errors.ts";
import type { Bucket } from "./chunks/s3.ts";
import { STANDARD_RULES, type CollectorRules } from "./collector.ts";
import { durationMs } from "./durations.ts";
import type { LogLevel } from "./real-world.ts";

/** Where a server listens when nobody says otherwise. */
export const DEFAULT_PORT = 7420;
/** Only this machine: who wants to be reached from others says so. */
const DEFAULT_HOST = "127.0.0.1";

/** What can be set, as it is written in a flag, an environment variable or the file. */
export const SETTINGS = [
  "data",
  "host",
  "port",
  "database",
  "chunks",
  "keyFile",
  "keyService",
  "metricsToken",
  "quota",
  "rate",
  "keepAll",
  "keepDaily",
  "collectEvery",
  "collectGrace",
  "log",
  "logFile",
  "auditFile",
] as const;
export type Setting = (typeof SETTINGS)[number];
export type Settings = Partial<Readonly<Record<Setting, string>>>;

const VARIABLES: Readonly<Record<Setting, string>> = {
  data: "LOCKSTEP_DATA",
  host: "LOCKSTEP_HOST",
  port: "LOCKSTEP_PORT",
  database: "LOCKSTEP_DATABASE",
  chunks: "LOCKSTEP_CHUNKS",
  keyFile: "LOCKSTEP_KEY_FILE",
  keyService: "LOCKSTEP_KEY_SERVICE",
  metricsToken: "LOCKSTEP_METRICS_TOKEN",
  quota: "LOCKSTEP_QUOTA",
  rate: "LOCKSTEP_RATE",
  keepAll: "LOCKSTEP_KEEP_ALL",
  keepDaily: "LOCKSTEP_KEEP_DAILY",
  collectEvery: "LOCKSTEP_COLLECT_EVERY",
  collectGrace: "LOCKSTEP_COLLECT_GRACE",
  log: "LOCKSTEP_LOG",
  logFile: "LOCKSTEP_LOG_FILE",
  auditFile: "LOCKSTEP_AUDIT_FILE",
};

/** The file in the data folder that sets what neither a flag nor the environment does. */
export const CONFIG_FILE = "server.json";

/** Several servers may have one PostgreSQL or MongoDB database open; a file is one server's. */
export type DatabaseConfig =
  | { readonly kind: "sqlite"; readonly path: string }
  | { readonly kind: "postgres" | "mongodb"; readonly url: string };

export type ChunksConfig =
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "s3"; readonly bucket: Bucket };

/** What is forgotten, and how often the server does so by itself; null: never. */
type Collecting = { readonly rules: CollectorRules; readonly everyMs: number | null };

const COLLECT_EVERY_MS = 24 * 60 * 60 * 1_000;

export type ServerConfig = {
  readonly data: string;
  readonly host: string;
  readonly port: number;
  readonly database: DatabaseConfig;
  readonly chunks: ChunksConfig;
  /** What packs are closed with: see `master-key.ts`. */
  readonly keyFile: string;
  /** The key service's own key; null: there is no such service. */
  readonly keyServiceFile: string | null;
  /** What opens /metrics; null: nothing does. */
  readonly metricsToken: string | null;
  /** What an account may have stored; null: as much as there is room for. */
  readonly quotaBytes: number | null;
  /** Requests a second of an account, in the long run; null: as many as come. */
  readonly requestsPerSecond: number | null;
  readonly collecting: Collecting;
  readonly logLevel: LogLevel;
  readonly logFile: string | undefined;
  /** Where it is written who was let in; undefined: in the log, with the rest. */
  readonly auditFile: string | undefined;
};

const MAX_VALUE = 4_096;
const Value = z.string().min(1).max(MAX_VALUE);
const Written = z.union([Value, z.int().transform(String)]);
const FileSettings = z.partialRecord(z.enum(SETTINGS), Written);

function fromEnvironment(environment: Readonly<Record<string, string | undefined>>): Settings {
  const found: Partial<Record<Setting, string>> = {};
  for (const setting of SETTINGS) {
    const value = environment[VARIABLES[setting]];
    if (value !== undefined && value !== "") found[setting] = value;
  }
  return found;
}

function fromFile(data: string | undefined, problems: string[]): Settings {
  if (data === undefined) return {};
  const path = join(data, CONFIG_FILE);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return {};
    problems.push(`${path} cannot be read; make it readable or remove it`);
    return {};
  }
  try {
    return FileSettings.parse(JSON.parse(text));
  } catch {
    problems.push(`${path} is no JSON object of ${SETTINGS.join(", ")} with texts; correct it`);
    return {};
  }
}

const LEVELS = ["trace", "debug", "info", "warn", "error", "silent"] as const;

/** What stands before the colon: all that may be said of an address that may hold a password. */
function schemeOf(value: string): string {
  return /^[a-z0-9+]{1,20}:/i.exec(value)?.[0] ?? "no address";
}

function urlOf(value: string): URL | null {
  return URL.canParse(value) ? new URL(value) : null;
}

function databaseOf(value: string | undefined, data: string, problems: string[]): DatabaseConfig {
  const standard = { kind: "sqlite", path: join(data, "metadata.sqlite") } as const;
  if (value === undefined) return standard;
  if (/^sqlite:./.test(value)) return { kind: "sqlite", path: resolve(value.slice(7)) };
  const scheme = schemeOf(value);
  const kind = DATABASES[scheme];
  if (kind === undefined) {
    const known = "sqlite:PATH, postgres://… or mongodb://…";
    problems.push(`database begins with ${scheme}, it must be ${known}`);
    return standard;
  }
  // Several hosts, as a replica set has them, are no URL to everybody: only the end is looked at.
  const name = /^[a-z+]+:\/\/[^/?#]+\/([^/?#]+)/.exec(value)?.[1];
  if (name !== undefined) return { kind, url: value };
  problems.push(`database is not of the form ${scheme}//USER:PASSWORD@HOST:PORT/DATABASE`);
  return standard;
}

const DATABASES: Readonly<Record<string, "postgres" | "mongodb">> = {
  "postgres:": "postgres",
  "postgresql:": "postgres",
  "mongodb:": "mongodb",
  "mongodb+srv:": "mongodb",
};

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html */
const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
const DEFAULT_REGION = "us-east-1";

function chunksOf(
  value: string | undefined,
  { data, region }: { readonly data: string; readonly region: string | undefined },
  problems: string[],
): ChunksConfig {
  const standard = { kind: "file", path: join(data, "packs") } as const;
  if (value === undefined) return standard;
  if (/^file:./.test(value)) return { kind: "file", path: resolve(value.slice(5)) };
  if (schemeOf(value) !== "s3:") {
    problems.push(`chunks begins with ${schemeOf(value)}, it must be file:PATH or s3://BUCKET`);
    return standard;
  }
  const form = "s3://BUCKET[/PREFIX][?endpoint=URL&region=REGION]";
  const url = urlOf(value);
  if (url === null || !BUCKET.test(url.hostname)) {
    problems.push(`chunks is not of the form ${form}`);
    return standard;
  }
  if (url.username !== "" || url.password !== "") {
    problems.push("chunks has a user in it, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
  }
  for (const name of url.searchParams.keys()) {
    if (name !== "endpoint" && name !== "region") problems.push(`chunks knows no ${name}: ${form}`);
  }
  const endpoint = url.searchParams.get("endpoint");
  if (endpoint !== null && !/^https?:/.test(urlOf(endpoint)?.protocol ?? "")) {
    problems.push("the endpoint of chunks is no http: or https: address");
  }
  const folder = url.pathname.replace(/^\/+/, "").replace(/\/*$/, "/");
  return {
    kind: "s3",
    bucket: {
      bucket: url.hostname,
      prefix: folder === "/" ? "" : folder,
      endpoint,
      region: url.searchParams.get("region") ?? region ?? DEFAULT_REGION,
    },
  };
}

function portOf(value: string | undefined, problems: string[]): number {
  if (value === undefined) return DEFAULT_PORT;
  const port = /^\d{1,5}$/.test(value) ? Number(value) : 65_536;
  if (port <= 65_535) return port;
  problems.push(`port is ${value}, it must be a number from 0 (any free one) to 65535`);
  return DEFAULT_PORT;
}

/** Long enough that nobody guesses it. */
const LEAST_TOKEN = 16;

function tokenOf(value: string | undefined, problems: string[]): string | null {
  if (value === undefined) return null;
  if (/^[!-~]+$/.test(value) && value.length >= LEAST_TOKEN) return value;
  problems.push(`metricsToken must be ${LEAST_TOKEN} letters, digits or signs at least`);
  return null;
}

const UNITS: Readonly<Record<string, number>> = {
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
};

function quotaOf(value: string | undefined, problems: string[]): number | null {
  if (value === undefined || value === "off") return null;
  const [, count = "", unit = ""] = /^(\d{1,7})(MiB|GiB|TiB)$/.exec(value) ?? [];
  const bytes = Number(count) * (UNITS[unit] ?? 0);
  if (bytes > 0 && Number.isSafeInteger(bytes)) return bytes;
  problems.push(`quota is ${value}, it must be a size such as 50GiB, or off`);
  return null;
}

/** More than devices need that have much to do; a program that never pauses makes thousands. */
const DEFAULT_RATE = 200;
const MOST_RATE = 100_000;

function rateOf(value: string | undefined, problems: string[]): number | null {
  if (value === undefined) return DEFAULT_RATE;
  if (value === "off") return null;
  const rate = /^\d{1,6}$/.test(value) ? Number(value) : 0;
  if (rate >= 1 && rate <= MOST_RATE) return rate;
  problems.push(`rate is ${value}, it must be requests a second, 1 to ${MOST_RATE}, or off`);
  return null;
}

/** A duration; where a word stands for another value it may be that. */
function timeOf<Other = never>(
  setting: Setting,
  { [setting]: value }: Settings,
  more: {
    readonly standard: number;
    readonly word?: string;
    readonly means?: Other;
    readonly problems: string[];
  },
): number | Other {
  const { standard, word, means, problems } = more;
  if (value === undefined) return standard;
  if (word !== undefined && means !== undefined && value === word) return means;
  const ms = durationMs(value);
  if (ms !== null) return ms;
  const or = word === undefined ? "" : `, or ${word}`;
  problems.push(`${setting} is ${value}, it must be a number of s, m, h or d like 30d${or}`);
  return standard;
}

function collectingOf(settings: Settings, problems: string[]): Collecting {
  const { retention, graceMs: standardMs, packGraceMs } = STANDARD_RULES;
  const forever = { word: "forever", means: Number.POSITIVE_INFINITY, problems };
  const graceMs = timeOf<never>("collectGrace", settings, { standard: standardMs, problems });
  const every = { standard: COLLECT_EVERY_MS, word: "off", means: null, problems };
  return {
    rules: {
      ...STANDARD_RULES,
      retention: {
        allMs: timeOf("keepAll", settings, { standard: retention.allMs, ...forever }),
        dailyMs: timeOf("keepDaily", settings, { standard: retention.dailyMs, ...forever }),
      },
      graceMs,
      // Who reads meanwhile looks again where a pack is gone.
      packGraceMs: Math.min(packGraceMs, graceMs),
    },
    everyMs: timeOf("collectEvery", settings, every),
  };
}

function levelOf(value: string | undefined, problems: string[]): LogLevel {
  const level = LEVELS.find((known) => known === (value ?? "info"));
  if (level !== undefined) return level;
  problems.push(`log is ${value}, it must be one of ${LEVELS.join(", ")}`);
  return "info";
}

/**
 * Flags before the environment before the file. Throws WorldError `bad-config` whose message lists
 * every problem at once.
 */
export function readConfig(
  flags: Settings,
  environment: Readonly<Record<string, string | undefined>>,
): ServerConfig {
  const problems: string[] = [];
  const outer = { ...fromEnvironment(environment), ...flags };
  const settings: Settings = { ...fromFile(outer.data, problems), ...outer };
  for (const [setting, value] of Object.entries(settings)) {
    if (value.length > MAX_VALUE || value.includes("\0")) problems.push(`${setting} is no text`);
  }
  const data = resolve(settings.data ?? ".");
  if (settings.data === undefined) {
    problems.push("data is not set, name a folder with --data DIR or LOCKSTEP_DATA");
  }
  const host = settings.host ?? DEFAULT_HOST;
  if (!/^[A-Za-z0-9._:%-]+$/.test(host))
    problems.push(`host is ${host}, it must be a name or an IP`);
  const config: ServerConfig = {
    data,
    host,
    port: portOf(settings.port, problems),
    database: databaseOf(settings.database, data, problems),
    chunks: chunksOf(settings.chunks, { data, region: environment["AWS_REGION"] }, problems),
    keyServiceFile:
      settings.keyService === "off"
        ? null
        : resolve(settings.keyService ?? join(data, "key-service.key")),
    keyFile: resolve(settings.keyFile ?? join(data, "master.key")),
    metricsToken: tokenOf(settings.metricsToken, problems),
    quotaBytes: quotaOf(settings.quota, problems),
    requestsPerSecond: rateOf(settings.rate, problems),
    collecting: collectingOf(settings, problems),
    logLevel: levelOf(settings.log, problems),
    logFile: settings.logFile,
    auditFile: settings.auditFile,
  };
  if (problems.length === 0) return config;
  throw new WorldError("bad-config", `The server's settings are wrong: ${problems.join("; ")}.`);
}
