import { verify } from "node:crypto";
import { createPublicKey } from "node:crypto";
import { fromHex, toHex, utf8 } from "#core/bytes.ts";
import { RECOVERY_LABEL, type Proof } from "#protocol/accounts.ts";
import type { z } from "zod";
import { accountKey, refuseForNow, type AccountParts } from "./accounts.ts";
import type { AccountRow } from "./metadata/port.ts";
import { ProblemError } from "./problem-error.ts";

/** Between the halves of a sign-in. */
const LOGIN_LIFE_MS = 2 * 60_000;
const CHALLENGE_BYTES = 32;
/**
 * What a signature is checked against where there is no account: the base point of Ed25519. Whoever
 * made it fit would be refused all the same.
 */
const NOBODYS_KEY = `58${"66".repeat(31)}`;

/** What the server has to remember between the halves: the device keeps it, closed. */
type State = {
  readonly kind: Proof["kind"];
  readonly key: string;
  /** OPAQUE's own, or the challenge in hex. */
  readonly inner: string;
  readonly untilMs: number;
};

const wrong = (): ProblemError =>
  new ProblemError(
    "bad-credentials",
    "This account and this password (or these words) do not belong together; check both.",
  );

function badMessage(): ProblemError {
  return new ProblemError("bad-request", "The sign-in's message is none of OPAQUE's.");
}

async function count(parts: AccountParts, key: string, name: string): Promise<void> {
  const waitMs = await parts.logins.take(key);
  if (waitMs > 0) {
    const detail = `Too many wrong passwords for the account ${name}; wait before the next try.`;
    throw refuseForNow(waitMs, detail);
  }
}

function close(parts: AccountParts, state: Omit<State, "untilMs">): string {
  const untilMs = parts.clock.nowMs() + LOGIN_LIFE_MS;
  return parts.secrets.close("login state", JSON.stringify({ ...state, untilMs }));
}

/**
 * First half of a sign-in by password. Whether the account exists cannot be told from the answer,
 * nor from the time that it takes: the work is the same.
 * Throws ProblemError `too-many-requests`, `bad-request`.
 */
export async function startLogin(
  parts: AccountParts,
  { account, startLoginRequest }: { readonly account: string; readonly startLoginRequest: string },
): Promise<{ readonly loginResponse: string; readonly state: string }> {
  const key = accountKey(account);
  await count(parts, key, account);
  const row = await parts.accounts.accountByKey(key);
  const record = row?.opaqueRecord ?? parts.opaque.nobodys;
  const started = parts.opaque.startLogin(key, startLoginRequest, record);
  if (started === null) throw badMessage();
  const { serverLoginState: inner, loginResponse } = started;
  return { loginResponse, state: close(parts, { kind: "password", key, inner }) };
}

/** First half of a sign-in by recovery words. Throws ProblemError `too-many-requests`. */
export async function startRecovery(
  parts: AccountParts,
  { account }: { readonly account: string },
): Promise<{ readonly challenge: string; readonly state: string }> {
  const key = accountKey(account);
  await count(parts, key, account);
  const inner = toHex(parts.chance.bytes(CHALLENGE_BYTES));
  return { challenge: inner, state: close(parts, { kind: "recovery", key, inner }) };
}

/**
 * The account that the proof opens. Throws ProblemError `bad-credentials`, after the same work
 * whether the account is not there or the proof is wrong.
 */
export async function signIn(
  parts: AccountParts,
  proof: z.output<typeof Proof>,
): Promise<AccountRow> {
  const state = openState(parts, proof.state);
  if (state.kind !== proof.kind || state.untilMs < parts.clock.nowMs()) throw wrong();
  const row = await parts.accounts.accountByKey(state.key);
  const isProved = isRight(parts, row?.recoveryKey ?? NOBODYS_KEY, state.inner, proof);
  if (row === undefined || !isProved) throw wrong();
  await parts.logins.giveBack(state.key);
  return row;
}

function openState(parts: AccountParts, closed: string): State {
  try {
    return JSON.parse(parts.secrets.open("login state", closed)) as State;
  } catch {
    throw wrong();
  }
}

function isRight(
  { opaque }: AccountParts,
  recoveryKey: string,
  inner: string,
  proof: z.output<typeof Proof>,
): boolean {
  if (proof.kind === "password") return opaque.finishLogin(inner, proof.finishLoginRequest);
  const raw = { key: Buffer.from(recoveryKey, "hex"), format: "raw-public" as const };
  try {
    const key = createPublicKey({ ...raw, asymmetricKeyType: "ed25519" });
    return verify(null, utf8(RECOVERY_LABEL + inner), key, fromHex(proof.signature));
  } catch {
    // Not every 32 bytes are a point.
    return false;
  }
}
