const UNITS_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** `30d`, `12h`, `5m`, `10s` in milliseconds; null for anything else. */
export function durationMs(text: string): number | null {
  const [, count, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  if (count === undefined || unit === undefined) return null;
  // The expression lets no other unit through.
  return Number(count) * UNITS_MS[unit as keyof typeof UNITS_MS];
}
