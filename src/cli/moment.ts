import { InvalidArgumentError } from "commander";

const UNIT_MS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/**
 * A point in time in ms since 1970: `2026-03-01`, `2026-03-01 14:05`, ISO 8601 with a zone, or so
 * long ago: `30m`, `2h`, `3d`. Without a zone it is this machine's time; a day alone is its end.
 */
export function parseMoment(text: string, nowMs: number): number {
  const ago = /^(\d{1,6})([smhdw])$/.exec(text.trim());
  if (ago !== null) return nowMs - Number(ago[1]) * (UNIT_MS[ago[2] ?? ""] ?? 0);
  const day = /^\d{4}-\d{2}-\d{2}$/.test(text.trim());
  const iso = day ? `${text.trim()}T23:59:59.999` : text.trim().replace(" ", "T");
  const timeMs = /^\d{4}-\d{2}-\d{2}T/.test(iso) ? Date.parse(iso) : Number.NaN;
  if (!Number.isNaN(timeMs)) return timeMs;
  throw new InvalidArgumentError("Write it like 2026-03-01, '2026-03-01 14:05', 2h or 3d.");
}
