import { concat, fromHex, toHex } from "#core/bytes.ts";
import { accountId, deviceId, type AccountId, type DeviceId } from "#core/ids.ts";
import type { FieldReader } from "./fields.ts";
import type { SigningSeed } from "./keys.ts";
import { labelBytes, magic } from "./labels.ts";
import type { Primitives } from "./primitives.ts";

/**
 * An account's word that a device is its own: `["LSD1"][account 16][device 16][signing key 32]
 * [exchange key 32][signature 64]`, by the account's identity key.
 */
export type Certificate = {
  readonly account: AccountId;
  readonly device: DeviceId;
  /** Ed25519: what the device signs its commits with. */
  readonly signingKey: Uint8Array;
  /** X25519: what others seal for the device with. */
  readonly exchangeKey: Uint8Array;
  readonly signature: Uint8Array;
};

function signed(certificate: Omit<Certificate, "signature">): Uint8Array {
  return concat([labelBytes("certificate-sig"), written(certificate)]);
}

function written(certificate: Omit<Certificate, "signature">): Uint8Array {
  const { account, device, signingKey, exchangeKey } = certificate;
  return concat([magic("D1"), fromHex(account), fromHex(device), signingKey, exchangeKey]);
}

export function certify(
  { signatures }: Primitives,
  identitySeed: SigningSeed,
  device: Omit<Certificate, "signature">,
): Certificate {
  return { ...device, signature: signatures.sign(identitySeed, signed(device)) };
}

/** Whether the account with this identity vouches for the device. */
export function isCertified(
  { signatures }: Primitives,
  identity: Uint8Array,
  certificate: Certificate,
): boolean {
  return signatures.verify(identity, signed(certificate), certificate.signature);
}

export function writeCertificate(certificate: Certificate): Uint8Array {
  return concat([written(certificate), certificate.signature]);
}

/** Reads the fields; whether they are true is for `isCertified` to say. */
export function readCertificate(fields: FieldReader): Certificate {
  fields.expect(magic("D1"), "certificate");
  return {
    account: accountId(toHex(fields.bytes(16))),
    device: deviceId(toHex(fields.bytes(16))),
    signingKey: fields.bytes(32),
    exchangeKey: fields.bytes(32),
    signature: fields.bytes(64),
  };
}
