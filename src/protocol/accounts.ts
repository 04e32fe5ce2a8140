import { z } from "zod";
import { AccountId, DeviceId } from "./ids.ts";
import { MAX_FEED_WAIT_MS } from "./limits.ts";
import { Label } from "./text.ts";

/**
 * 1 to 64 letters, digits, `.`, `_`, `-`, `@`; begins with a letter or digit; compared in lower
 * case.
 */
const AccountName = z
  .string()
  .regex(/^[\p{L}\p{N}][\p{L}\p{N}._@-]{0,63}$/u, "1 to 64 letters, digits, '.', '_', '-', '@'");

/** Longest name of a device, in UTF-16 units. */
export const MAX_DEVICE_NAME = 64;

/** What a person calls a machine; the server adds a number where the name is taken. */
const DeviceName = Label.trim().min(1).max(MAX_DEVICE_NAME);

/**
 * `ls_dev_…` opens an account for a device, `ls_pat_…` for a program. 256 random bits, base64url.
 */
const Token = z.string().regex(/^ls_(dev|pat)_[A-Za-z0-9_-]{43}$/);

/** A message of OPAQUE (RFC 9807) as its library writes it, or another opaque text: base64url. */
const Opaque = z.string().regex(/^[A-Za-z0-9_-]{1,8192}$/);

/** What an account keeps at the server without its being able to read it, base64url. */
const MAX_BUNDLE = 64 * 1024;
const MAX_KEYRING = 12 * 1024 * 1024;
const Bundle = z
  .string()
  .regex(/^[A-Za-z0-9_-]+$/)
  .max(MAX_BUNDLE);
const Keyring = z
  .string()
  .regex(/^[A-Za-z0-9_-]+$/)
  .max(MAX_KEYRING);

/** An Ed25519 public key, hex: its other half comes of the recovery words. */
const RecoveryKey = z.string().regex(/^[0-9a-f]{64}$/);

/** First half of a registration: the password itself never leaves the device. */
export const Registration = z.object({ account: AccountName, registrationRequest: Opaque });
export const RegistrationAnswer = z.object({ registrationResponse: Opaque });

export const SignUp = z.object({
  /** Drawn by the device: what it seals for the account is bound to it. */
  accountId: AccountId,
  account: AccountName,
  registrationRecord: Opaque,
  recoveryKey: RecoveryKey,
  bundle: Bundle,
  keyring: Keyring,
});
export const SignedUp = z.object({ accountId: AccountId, account: AccountName });

/**
 * First half of a sign-in. An account that is not there is answered like one that is. `state` goes
 * back with the second half, within two minutes.
 */
export const Login = z.object({ account: AccountName, startLoginRequest: Opaque });
export const LoginAnswer = z.object({ loginResponse: Opaque, state: Opaque });

/** The same with the recovery words: the device signs the challenge. */
export const Recovery = z.object({ account: AccountName });
export const RecoveryAnswer = z.object({
  challenge: z.string().regex(/^[0-9a-f]{64}$/),
  state: Opaque,
});

/** What is signed is this and the challenge in hex. */
export const RECOVERY_LABEL = "lockstep/1/recovery\0";

/** Second half: who can make this knows the password, or the words. */
export const Proof = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("password"), state: Opaque, finishLoginRequest: Opaque }),
  z.object({
    kind: z.literal("recovery"),
    state: Opaque,
    signature: z.string().regex(/^[0-9a-f]{128}$/),
  }),
]);
export type Proof = z.infer<typeof Proof>;

export const Enrol = z.object({ proof: Proof, device: DeviceName });
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
  proof: Proof,
  label: Label.max(64).default("token"),
  expiresInS: z.int().min(60).optional(),
});
export const TokenAnswer = z.object({ token: Token, expiresMs: z.int().nullable() });

/** A join code's secret: 20 characters of Crockford's base32 (100 bits). No server ever sees it. */
export const JoinSecret = z.string().regex(/^[0-9A-HJKMNP-TV-Z]{20}$/);

/** What the server finds a code's messages by: see `crypto/join-exchange.ts`. */
const JoinLocator = z.string().regex(/^[0-9a-f]{64}$/);

/** Whoever knows the locator may send this one: it is short. */
const MAX_JOIN_REQUEST = 1024;
const JoinRequest = z
  .string()
  .regex(/^[A-Za-z0-9_-]+$/)
  .max(MAX_JOIN_REQUEST);

/** Messages by number: 0, 2 and 4 are the inviting device's, 1 that of the one that joins. */
export const JOIN_COMMITMENT = 0;
export const JOIN_REQUEST = 1;
export const JOIN_NONCE = 2;
/** The server's own: that it has made a device, or `JOIN_REFUSED` in its place. */
export const JOIN_DECISION = 3;
export const JOIN_PACKAGE = 4;
/** The inviting device's word that the other one is not let in. */
export const JOIN_REFUSED = "refused";

/** An inviting device begins: others have 10 minutes. */
export const JoinOffer = z.object({ locator: JoinLocator, commitment: Opaque });
export const JoinCode = z.object({ expiresMs: z.int() });
/** The first to ask with this locator is the only one. */
export const Join = z.object({ locator: JoinLocator, request: JoinRequest });
/** Waits for a message; null when it is not there in time. */
export const JoinNext = z.object({
  locator: JoinLocator,
  number: z.int().min(JOIN_COMMITMENT).max(JOIN_PACKAGE),
  waitMs: z.int().min(0).max(MAX_FEED_WAIT_MS),
});
export const JoinMessage = z.object({ message: Bundle.nullable() });
/** What the inviting device says after the first. */
export const JoinAnswer = z.object({
  locator: JoinLocator,
  number: z.int().min(JOIN_NONCE).max(JOIN_PACKAGE),
  message: Bundle,
});
/** A device for the one that asked, once; `Enrolled` is for the package. */
export const JoinDevice = z.object({ locator: JoinLocator, device: DeviceName });
export const JoinWithdrawal = z.object({ locator: JoinLocator });

/** What an account keeps at the server; versions count from 1. */
export const AccountVault = z.object({
  accountId: AccountId,
  account: AccountName,
  bundle: Bundle,
  bundleVersion: z.int(),
  keyring: Keyring,
  keyringVersion: z.int(),
});
export type AccountVault = z.infer<typeof AccountVault>;

/** Takes the place of version - 1, and of no other. */
const BundleUpdate = z.object({ version: z.int().min(1), bundle: Bundle });
export const KeyringUpdate = z.object({
  version: z.int().min(1),
  keyring: Keyring,
  /** An older one whose place it takes: the server was put back to a backup meanwhile. */
  replaces: z.int().min(1).optional(),
  /** New keys for the account: the bundle that leads to them lands with the keyring or not. */
  renewal: BundleUpdate.extend({ recoveryKey: RecoveryKey }).optional(),
});

/** A new password: the record of its registration, and the bundle that it opens. */
export const PasswordChange = BundleUpdate.extend({ proof: Proof, registrationRecord: Opaque });
