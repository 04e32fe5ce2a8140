import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { type Device, until } from "./world.ts";

/** Bytes that a large file is hashed by at once. */
const PIECE_BYTES = 4 * 1024 * 1024;

function hashOf(file: string): string {
  const hash = createHash("sha256");
  const descriptor = fs.openSync(file, "r");
  try {
    const piece = Buffer.alloc(PIECE_BYTES);
    for (let read = -1; read !== 0;) {
      read = fs.readSync(descriptor, piece);
      hash.update(piece.subarray(0, read));
    }
  } finally {
    fs.closeSync(descriptor);
  }
  return hash.digest("hex");
}

/** Everything below a folder but the engine's own: content and executable bit, links, folders. */
export function treeOf(dir: string): Record<string, string> {
  const tree: Record<string, string> = {};
  for (const entry of fs.readdirSync(dir, { recursive: true, withFileTypes: true })) {
    const full = path.join(entry.parentPath, entry.name);
    const name = path.relative(dir, full);
    if (name.split(path.sep)[0] === ".lockstep") continue;
    if (entry.isDirectory()) tree[`${name}/`] = "folder";
    else if (entry.isSymbolicLink()) tree[name] = `-> ${fs.readlinkSync(full)}`;
    else tree[name] = `${hashOf(full)}${fs.statSync(full).mode & 0o100 ? " +x" : ""}`;
  }
  return tree;
}

/** Fails with the paths that differ, and not with thousands that do not. */
export function assertSameTrees(actual: Record<string, string>, expected: typeof actual): void {
  const paths = new Set([...Object.keys(actual), ...Object.keys(expected)]);
  const differing = [...paths].filter((each) => actual[each] !== expected[each]).slice(0, 20);
  const shown = differing.map((each) => ({ path: each, is: actual[each], not: expected[each] }));
  assert.deepEqual(shown, []);
}

/** Waits until nobody has anything left to do and all folders hold the same; gives what. */
export async function settled(devices: readonly Device[]): Promise<Record<string, string>> {
  // Twice, because what one device sends in the first round is work for the others.
  for (let round = 0; round < 2; round++) {
    for (const device of devices) await device.ok("wait", device.dir, "--timeout", "120");
  }
  const [first, ...others] = devices.map(({ dir }) => treeOf(dir));
  assert.ok(first !== undefined);
  for (const other of others) assertSameTrees(other, first);
  return first;
}

/** What the engine has below `.lockstep` while it works, and should not have when it is done. */
export function leftovers(device: Device): string[] {
  return ["stage", "park"].flatMap((folder) =>
    fs.readdirSync(device.at(`.lockstep/${folder}`)).map((name) => `${folder}/${name}`),
  );
}

/** Waits until a file on a device has this text. */
export async function arrives(
  device: Device,
  name: string,
  text: string,
  patienceMs?: number,
): Promise<void> {
  const read = (): string | null => {
    try {
      return device.read(name);
    } catch {
      // It was there and is being replaced.
      return null;
    }
  };
  const what = `${name} of ${device.name} is ${JSON.stringify(text)}`;
  await until(() => read() === text, what, patienceMs);
}

/** What `status --json` says, as far as tests look at it. */
export type Status = {
  readonly state: string;
  readonly reason: string | null;
  readonly problems: readonly { readonly path: string; readonly code: string }[];
};

/** Waits until `status --json` of a device is as wanted. */
export async function untilStatus(
  device: Device,
  what: string,
  is: (now: Status) => boolean,
): Promise<void> {
  let now: Status | undefined;
  await until(
    async () => is((now = (await device.json("status", device.dir)) as Status)),
    () => `${device.name} ${what}; it is ${JSON.stringify(now)}`,
  );
}
