import type { AccountId } from "#core/ids.ts";
import { JOIN_DECISION, JOIN_PACKAGE, JOIN_REQUEST } from "#protocol/accounts.ts";
import type { AccountRow, AccountStore, JoinRow } from "./metadata/port.ts";
import { refuseForNow } from "./accounts.ts";
import type { Announcer } from "./announcer.ts";
import type { Attempts } from "./attempts.ts";
import { enrol, type DeviceParts, type Enrolment } from "./devices.ts";
import { ProblemError } from "./problem-error.ts";
import { tokenHash } from "./tokens.ts";

/** How long a join code may be used. */
export const JOIN_LIFE_MS = 10 * 60_000;

/** Wrong tries after which a code is worth nothing. */
export const MAX_WRONG_JOINS = 5;

/**
 * Tries are counted per first five digits (20 bits) of the locator, known or not: so somebody who
 * guesses blindly shuts nobody else out, as a count for the whole server would. A locator is 256
 * bits that come of a code of 100: five tries at the rest of it are nothing.
 */
const COUNTED_LENGTH = 5;

/** How often a message that another server process took is looked for. */
const LOOK_MS = 1_000;

export type JoinParts = DeviceParts & {
  readonly accounts: AccountStore;
  readonly joins: Attempts;
  /** Tells those who wait how many messages a code has. */
  readonly joinAnnouncer: Announcer<string>;
  /** Aborts when the server closes: those who wait are answered at once. */
  readonly closing: AbortSignal;
};

/** Begins an exchange with whoever shows its locator first, for JOIN_LIFE_MS. */
export async function offerJoin(
  { accounts, clock }: JoinParts,
  account: AccountRow,
  offer: { readonly locator: string; readonly commitment: string },
): Promise<{ readonly expiresMs: number }> {
  const nowMs = clock.nowMs();
  await accounts.removeExpiredJoins(nowMs);
  const expiresMs = nowMs + JOIN_LIFE_MS;
  const hash = tokenHash(offer.locator);
  const messages = [offer.commitment];
  await accounts.createJoin({ hash, account: account.id, expiresMs, messages });
  return { expiresMs };
}

function noSuchCode(): ProblemError {
  return new ProblemError(
    "not-found",
    "This join code is mistyped, was used before or is older than 10 minutes; make a new one.",
  );
}

async function living(
  { accounts, clock }: JoinParts,
  hash: string,
  owner?: AccountId,
): Promise<JoinRow> {
  const row = await accounts.join(hash);
  const isKnown = row !== undefined && row.expiresMs > clock.nowMs();
  if (!isKnown || (owner !== undefined && owner !== row.account)) throw noSuchCode();
  return row;
}

/**
 * The code of a locator that anybody may show. Throws ProblemError `not-found` for one that is
 * unknown or expired, and `too-many-requests` after MAX_WRONG_JOINS of one beginning.
 */
async function shown(parts: JoinParts, locator: string): Promise<JoinRow> {
  const counted = locator.slice(0, COUNTED_LENGTH);
  const waitMs = await parts.joins.take(counted);
  if (waitMs > 0) {
    throw refuseForNow(waitMs, "Too many wrong tries of this join code; make a new one.");
  }
  const row = await living(parts, tokenHash(locator));
  await parts.joins.giveBack(counted);
  return row;
}

/** Adds a message; one that is sent again, because its answer got lost, is there already. */
async function add(parts: JoinParts, hash: string, at: number, message: string): Promise<boolean> {
  const isNew = await parts.accounts.addToJoin(hash, at, message);
  if (isNew) parts.joinAnnouncer.announce(hash, at + 1);
  return isNew || (await parts.accounts.join(hash))?.messages[at] === message;
}

/** Asks to join. Throws as `shown`, and ProblemError `not-found` when somebody else has asked. */
export async function requestJoin(
  parts: JoinParts,
  { locator, request }: { readonly locator: string; readonly request: string },
): Promise<void> {
  const { hash } = await shown(parts, locator);
  if (!(await add(parts, hash, JOIN_REQUEST, request))) throw noSuchCode();
}

/** A message of the exchange, waited for; null when it has not come. Throws as `shown`. */
export async function nextMessage(
  parts: JoinParts,
  wish: { readonly locator: string; readonly number: number; readonly waitMs: number },
  signal: AbortSignal,
): Promise<string | null> {
  const { clock, joinAnnouncer, closing } = parts;
  const { number, waitMs } = wish;
  const ends = AbortSignal.any([signal, closing]);
  const untilMs = clock.monotonicMs() + waitMs;
  let row = await shown(parts, wish.locator);
  for (;;) {
    const message = row.messages[number];
    if (message !== undefined) return message;
    const leftMs = untilMs - clock.monotonicMs();
    if (leftMs <= 0 || ends.aborted) return null;
    try {
      await joinAnnouncer.waitBeyond(row.hash, number, Math.min(leftMs, LOOK_MS), ends);
    } catch (error) {
      if (!ends.aborted) throw error;
    }
    row = await living(parts, row.hash);
  }
}

/** The inviting device goes on. Throws ProblemError `not-found`, `conflict`. */
export async function answerJoin(
  parts: JoinParts,
  account: AccountRow,
  answer: { readonly locator: string; readonly number: number; readonly message: string },
): Promise<void> {
  const { hash } = await living(parts, tokenHash(answer.locator), account.id);
  if (await add(parts, hash, answer.number, answer.message)) return;
  throw new ProblemError("conflict", "Something else was said by this join code already.");
}

/** The inviting device lets the other one in. Throws ProblemError `not-found`, `conflict`. */
export async function enrolJoining(
  parts: JoinParts,
  account: AccountRow,
  { locator, device }: { readonly locator: string; readonly device: string },
): Promise<Enrolment> {
  const { hash } = await living(parts, tokenHash(locator), account.id);
  if (!(await parts.accounts.addToJoin(hash, JOIN_DECISION, "enrolled"))) {
    throw new ProblemError("conflict", "This join code has made a device already, or may not.");
  }
  parts.joinAnnouncer.announce(hash, JOIN_DECISION + 1);
  return enrol(parts, account, device);
}

/** Ends a code of the account's, used or not. */
export async function withdrawJoin(
  parts: JoinParts,
  account: AccountRow,
  locator: string,
): Promise<void> {
  const { hash } = await living(parts, tokenHash(locator), account.id);
  await parts.accounts.removeJoin(hash);
  parts.joinAnnouncer.announce(hash, JOIN_PACKAGE + 1);
}
