// `npm run bench`: every measurement at a small size, one after the other, some minutes in all.
// `npm run bench -- NAME [OPTIONS]`: one of them, with the options that stand at the head of its
// file, such as `npm run bench -- peers --scale 1 --folder /mnt/disk`.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

type Measurement = { readonly what: string; readonly small: readonly string[] };

const MEASUREMENTS: Readonly<Record<string, Measurement>> = {
  sealing: { what: "primitives, and what sealing adds to them", small: [] },
  "sealed-costs": {
    what: "plain, shared and private spaces",
    small: ["--mib", "32", "--files", "200"],
  },
  "first-sync": { what: "a folder's first way to a second device", small: ["--files", "1000"] },
  "large-file": { what: "a large file, cut connections, an edit", small: ["--mib", "256"] },
  nodes: { what: "how time and memory grow", small: ["--sizes", "1000,10000", "--idle", "20"] },
  peers: { what: "beside other programs", small: ["--scale", "0.05"] },
};

async function run(name: string, args: readonly string[]): Promise<void> {
  const file = join(import.meta.dirname, `${name}.ts`);
  const quiet = "--disable-warning=ExperimentalWarning";
  const child = spawn(process.execPath, [quiet, file, ...args], { stdio: "inherit" });
  const [code] = (await once(child, "exit")) as [number | null];
  assert.equal(code, 0, `${name} failed`);
}

const [name, ...args] = process.argv.slice(2);
if (name !== undefined) {
  const names = Object.keys(MEASUREMENTS).join(", ");
  assert.ok(name in MEASUREMENTS, `no measurement ${name}: there are ${names}`);
  await run(name, args);
} else {
  for (const [each, { what, small }] of Object.entries(MEASUREMENTS)) {
    console.log(`\n== ${each} ${small.join(" ")}: ${what}`);
    await run(each, small);
  }
}
