import { existsSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { PRIVATE_FOLDER } from "#core/names.ts";
import { systemClock } from "#platform/clock.ts";
import { lockFolder } from "#platform/folder-lock.ts";
import { HOLD_FOLDER, PARK_FOLDER, STAGE_FOLDER } from "#sync/paths.ts";
import { MARKER_PREFIX } from "#sync/root.ts";
import type { LinkedFolder } from "./links.ts";
import { namesIn } from "./markers.ts";

const LOCK = "lock.sqlite";

/**
 * Forgets a link and its database, and removes what Lockstep made in the folder; `left` is the
 * `.lockstep` that stays because somebody's bytes are in it. Throws WorldError `folder-in-use`
 * while an engine runs.
 */
export function unlinkFolder({ link, state }: LinkedFolder): { readonly left: string | null } {
  const own = join(link.dir, PRIVATE_FOLDER);
  if (!existsSync(link.dir)) {
    forget(state);
    return { left: null };
  }
  {
    using _ = lockFolder(link.dir, systemClock);
    forget(state);
    rmSync(join(own, MARKER_PREFIX + link.space), { recursive: true, force: true });
    rmSync(join(link.dir, STAGE_FOLDER), { recursive: true, force: true });
    for (const kept of [HOLD_FOLDER, PARK_FOLDER]) removeIfEmpty(join(link.dir, kept));
  }
  if (namesIn(own).every((name) => name === LOCK)) {
    rmSync(join(own, LOCK), { force: true });
    removeIfEmpty(own);
  }
  return { left: existsSync(own) ? own : null };
}

function forget(state: string): void {
  // Without it the rest is no link any more, should this be broken off.
  rmSync(join(state, "link.json"), { force: true });
  rmSync(state, { recursive: true, force: true });
}

function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // It is not there, or it is not empty: then it stays.
  }
}
