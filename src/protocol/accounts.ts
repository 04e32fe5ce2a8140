import { z } from "zod";
import { AccountId, DeviceId } from "./ids.ts";

/**
 * 1 to 64 letters, digits, `.`, `_`, `-`, `@`; begins with a letter or digit; compared in lower
 * case.
 */
const AccountName = z
  .string()
  .regex(/^[\p{L}\p{N}][\p{L}\p{N}._@-]{0,63}$/u, "1 to 64 letters, digits, '.', '_', '-', '@'");

/** At least 8 characters, any of them. */
const Password = z.string().min(8, "at least 8 characters").max(1_024);

/** Longest name of a device, in UTF-16 units. */
export const MAX_DEVICE_NAME = 64;

/** What a person calls a machine; the server adds a number where the name is taken. */
const DeviceName = z.string().trim().min(1).max(MAX_DEVICE_NAME);

/**
 * `ls_dev_…` opens an account for a device, `ls_pat_…` for a program. 256 random bits, base64url.
 */
const Token = z.string().regex(/^ls_(dev|pat)_[A-Za-z0-9_-]{43}$/);

export const SignUp = z.object({ account: AccountName, password: Password });
export const SignedUp = z.object({ accountId: AccountId, account: AccountName });

export const Enrol = z.object({
  account: AccountName,
  password: z.string().max(1_024),
  device: DeviceName,
});
export const Enrolled = z.object({
  accountId: AccountId,
  account: AccountName,
  device: DeviceId,
  deviceName: DeviceName,
  token: Token,
});

export const DeviceRow = z.object({
  device: DeviceId,
  name: DeviceName,
  createdMs: z.int(),
  lastSeenMs: z.int().nullable(),
  revoked: z.boolean(),
});
/** `next` is there when more follow: ask again with `after` set to it. */
export const DeviceList = z.object({ devices: z.array(DeviceRow), next: DeviceId.optional() });

export const TokenRequest = z.object({
  account: AccountName,
  password: z.string().max(1_024),
  label: z.string().max(64).default("token"),
  expiresInS: z.int().min(60).optional(),
});
export const TokenAnswer = z.object({ token: Token, expiresMs: z.int().nullable() });

/**
 * A join code's secret: 20 characters of Crockford's base32 (100 bits), single use, 10 minutes,
 * at most 5 wrong tries.
 */
export const JoinSecret = z.string().regex(/^[0-9A-HJKMNP-TV-Z]{20}$/);
export const JoinCode = z.object({ secret: JoinSecret, expiresMs: z.int() });
/** What the inviting device wants the new one to sync. */
export const JoinOffer = z.object({ space: z.string().max(64) });
export const Join = z.object({ secret: JoinSecret, device: DeviceName });
export const Joined = Enrolled.extend({ space: z.string() });
