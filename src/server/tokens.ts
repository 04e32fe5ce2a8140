import { hash, timingSafeEqual } from "node:crypto";
import type { DeviceId } from "#core/ids.ts";
import type { Chance, Clock } from "#core/world.ts";
import type { AccountRow, AccountStore, TokenRow } from "./metadata/port.ts";
import { ProblemError } from "./problem-error.ts";

const TOKEN_BYTES = 32;
const TOKEN_SHAPE = /^ls_(dev|pat)_[A-Za-z0-9_-]{43}$/;

/** How long a device may have been active before the database hears of it again. */
const SEEN_EVERY_MS = 60_000;
const MAX_SEEN = 10_000;

/** Who is asking. `device` is null when a program's token asks. */
export type Session = {
  readonly account: AccountRow;
  readonly device: DeviceId | null;
  readonly tokenHash: string;
};

/** `ls_dev_…` for a device, `ls_pat_…` for a program: 256 random bits. */
export function drawToken(chance: Chance, kind: "dev" | "pat"): string {
  return `ls_${kind}_${Buffer.from(chance.bytes(TOKEN_BYTES)).toString("base64url")}`;
}

/** What is stored of a token: 256 random bits need no slow hash, nobody guesses them. */
export function tokenHash(token: string): string {
  return hash("sha256", token, "hex");
}

/** A program's token for an account, stored; the text exists only in the answer. */
export async function createToken(
  parts: { readonly accounts: AccountStore; readonly clock: Clock; readonly chance: Chance },
  account: AccountRow,
  wish: { readonly label: string; readonly expiresInS: number | undefined },
): Promise<{ readonly token: string; readonly expiresMs: number | null }> {
  const token = drawToken(parts.chance, "pat");
  const createdMs = parts.clock.nowMs();
  const expiresMs = wish.expiresInS === undefined ? null : createdMs + wish.expiresInS * 1000;
  await parts.accounts.createToken({
    hash: tokenHash(token),
    account: account.id,
    device: null,
    label: wish.label,
    createdMs,
    expiresMs,
  });
  return { token, expiresMs };
}

function refuseToken(): ProblemError {
  return new ProblemError(
    "bad-token",
    "This token is not valid: it is mistyped, expired or revoked; sign in again for another.",
    { headers: { "www-authenticate": 'Bearer realm="lockstep", error="invalid_token"' } },
  );
}

/** Opens tokens, and notes now and then that a device was seen. */
export class Sessions {
  readonly #accounts: AccountStore;
  readonly #clock: Clock;
  readonly #seen = new Map<DeviceId, number>();

  constructor(accounts: AccountStore, clock: Clock) {
    this.#accounts = accounts;
    this.#clock = clock;
  }

  /** Throws ProblemError `no-token` and `bad-token`. */
  async open(authorization: string | undefined): Promise<Session> {
    const [scheme, token] = (authorization ?? "").split(" ");
    if (scheme?.toLowerCase() !== "bearer" || token === undefined) {
      throw new ProblemError(
        "no-token",
        "This call needs the header Authorization: Bearer TOKEN.",
        {
          headers: { "www-authenticate": 'Bearer realm="lockstep"' },
        },
      );
    }
    if (!TOKEN_SHAPE.test(token)) throw refuseToken();
    const wanted = tokenHash(token);
    const row = await this.#living(wanted);
    const account = row === undefined ? undefined : await this.#accounts.account(row.account);
    if (row === undefined || account === undefined) throw refuseToken();
    await this.#note(row.device);
    return { account, device: row.device, tokenHash: wanted };
  }

  /** Throws ProblemError `bad-token` when the token has expired or was revoked meanwhile. */
  async check(session: Session): Promise<void> {
    if ((await this.#living(session.tokenHash)) === undefined) throw refuseToken();
  }

  async #living(wanted: string): Promise<TokenRow | undefined> {
    const row = await this.#accounts.tokenByHash(wanted);
    if (row === undefined) return undefined;
    // The database found it by an index; whether it is the same is decided in constant time.
    if (!timingSafeEqual(Buffer.from(row.hash), Buffer.from(wanted))) return undefined;
    if (row.expiresMs !== null && row.expiresMs <= this.#clock.nowMs()) return undefined;
    return row;
  }

  async #note(device: DeviceId | null): Promise<void> {
    if (device === null) return;
    const nowMs = this.#clock.nowMs();
    const seenMs = this.#seen.get(device);
    if (seenMs !== undefined && Math.abs(nowMs - seenMs) < SEEN_EVERY_MS) return;
    if (this.#seen.size >= MAX_SEEN) this.#seen.clear();
    this.#seen.set(device, nowMs);
    await this.#accounts.seeDevice(device, nowMs);
  }
}
