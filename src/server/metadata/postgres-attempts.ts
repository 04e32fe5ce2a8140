import type { AttemptLimit } from "./port.ts";
import type { PostgresDatabase } from "./postgres-database.ts";
import { integerOf } from "./rows.ts";

/** Counts that are over, forgotten at a time. */
const MAX_FORGOTTEN = 10;

const LIVING = "(a.until_ms > $2::bigint AND a.until_ms <= $2::bigint + $3::bigint)";

/** See `Shared.takeAttempt`. */
export async function takeAttempt(
  database: PostgresDatabase,
  key: string,
  { most, windowMs }: AttemptLimit,
  nowMs: number,
): Promise<number> {
  return database.write(async (run) => {
    await run(
      `DELETE FROM attempts WHERE key IN (
         SELECT key FROM attempts WHERE until_ms <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)`,
      [nowMs, MAX_FORGOTTEN],
    );
    // A count that ends later than any window that begins now is of a clock that was set back.
    const taken = await run(
      `INSERT INTO attempts AS a (key, used, until_ms) VALUES ($1, 1, $2::bigint + $3::bigint)
       ON CONFLICT (key) DO UPDATE SET
         used = CASE WHEN ${LIVING} THEN a.used + 1 ELSE 1 END,
         until_ms = CASE WHEN ${LIVING} THEN a.until_ms ELSE excluded.until_ms END
       WHERE a.used < $4::integer OR NOT ${LIVING}`,
      [key, nowMs, windowMs, most],
    );
    if (taken.changes === 1) return 0;
    const { rows } = await run("SELECT until_ms FROM attempts WHERE key = $1", [key]);
    return integerOf(rows[0] ?? {}, "until_ms") - nowMs;
  });
}

/** See `Shared.giveBackAttempt`. */
export async function giveBackAttempt(database: PostgresDatabase, key: string): Promise<void> {
  await database.run("UPDATE attempts SET used = used - 1 WHERE key = $1 AND used > 0", [key]);
}
