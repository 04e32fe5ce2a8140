import { readFileSync } from "node:fs";
import { uptime } from "node:os";

const BOOT_ID = "/proc/sys/kernel/random/boot_id";

/** Which boot of the machine this is, and when it began; null where the system does not say. */
export function presentBoot(nowMs: number): { id: string; beganMs: number } | null {
  try {
    return { id: readFileSync(BOOT_ID, "utf8").trim(), beganMs: nowMs - uptime() * 1_000 };
  } catch {
    return null;
  }
}
