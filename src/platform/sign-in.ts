import * as opaque from "@serenity-kit/opaque";
import { toHex, utf8 } from "#core/bytes.ts";
import { WorldError } from "#core/errors.ts";
import type { SigningSeed } from "#crypto/keys.ts";
import { RECOVERY_LABEL, type Proof } from "#protocol/accounts.ts";
import type { HttpAccount } from "./account-http.ts";
import { systemPrimitives } from "./primitives.ts";

/**
 * What a guess at a password costs: Argon2id with RFC 9106's second recommended setting. A constant
 * of this program: a server that could choose it could make guessing cheap.
 */
const KEY_STRETCHING = {
  "argon2id-custom": { iterations: 3, memory: 64 * 1024, parallelism: 1 },
};

/** What only whoever knows the password can have: 64 bytes, the same at each sign-in. */
export type ExportKey = Uint8Array;

export type Registered = { readonly registrationRecord: string; readonly exportKey: ExportKey };

/** Composed form: the same password typed on a Mac and on Windows is the same bytes. */
function typed(password: string): string {
  return password.normalize("NFC");
}

function fromBase64(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "base64url"));
}

/** Makes the record by which the server will know this password without ever seeing it. */
export async function registerPassword(
  calls: HttpAccount,
  { account, password: text }: { readonly account: string; readonly password: string },
): Promise<Registered> {
  await opaque.ready;
  const password = typed(text);
  const started = opaque.client.startRegistration({ password });
  const { clientRegistrationState, registrationRequest } = started;
  const { registrationResponse } = await calls.register({ account, registrationRequest });
  const { registrationRecord, exportKey } = opaque.client.finishRegistration({
    password,
    registrationResponse,
    clientRegistrationState,
    keyStretching: KEY_STRETCHING,
  });
  return { registrationRecord, exportKey: fromBase64(exportKey) };
}

/**
 * Proves to the server that the password is known, which it learns nothing else of. Throws
 * WorldError `bad-credentials`, `too-many-requests`.
 */
export async function provePassword(
  calls: HttpAccount,
  { account, password: text }: { readonly account: string; readonly password: string },
): Promise<{ readonly proof: Proof; readonly exportKey: ExportKey }> {
  await opaque.ready;
  const password = typed(text);
  const { clientLoginState, startLoginRequest } = opaque.client.startLogin({ password });
  const { loginResponse, state } = await calls.startLogin({ account, startLoginRequest });
  const finished = opaque.client.finishLogin({
    clientLoginState,
    loginResponse,
    password,
    keyStretching: KEY_STRETCHING,
  });
  if (finished === undefined) {
    throw new WorldError(
      "bad-credentials",
      `The account ${account} and this password do not belong together; check both.`,
    );
  }
  const { finishLoginRequest, exportKey } = finished;
  return {
    proof: { kind: "password", state, finishLoginRequest },
    exportKey: fromBase64(exportKey),
  };
}

/** Proves that the recovery words are known, with the key that they make. */
export async function proveWords(
  calls: HttpAccount,
  { account, seed }: { readonly account: string; readonly seed: SigningSeed },
): Promise<Proof> {
  const { challenge, state } = await calls.startRecovery({ account });
  const signed = systemPrimitives.signatures.sign(seed, utf8(RECOVERY_LABEL + challenge));
  return { kind: "recovery", state, signature: toHex(signed) };
}
