import { toHex } from "#core/bytes.ts";
import { deviceId, type AccountId, type DeviceId } from "#core/ids.ts";
import type { Chance, Clock } from "#core/world.ts";
import { MAX_DEVICE_NAME } from "#protocol/accounts.ts";
import type { AccountRow, AccountStore, DeviceRow } from "./metadata/port.ts";
import { ProblemError } from "./problem-error.ts";
import { drawToken, tokenHash } from "./tokens.ts";

/** Devices that an account may have at once; revoked ones do not count. */
const MAX_DEVICES = 500;

export type DeviceParts = {
  readonly accounts: AccountStore;
  readonly clock: Clock;
  readonly chance: Chance;
};

export type Enrolment = { readonly device: DeviceRow; readonly token: string };

/** The name that tells a device from the account's others: the wished one, else with a number. */
function freeName(wished: string, living: readonly DeviceRow[]): string {
  const taken = new Set(living.map((row) => row.name.toLowerCase()));
  let name = wished;
  for (let number = 2; taken.has(name.toLowerCase()); number++) {
    const end = ` ${number}`;
    name = wished.slice(0, MAX_DEVICE_NAME - end.length) + end;
  }
  return name;
}

/**
 * Makes a machine one of the account's devices, under a name that no other one has: conflict copies
 * are called by it. ProblemError `conflict` when the account has too many devices.
 */
export async function enrol(
  parts: DeviceParts,
  account: AccountRow,
  wished: string,
): Promise<Enrolment> {
  const living = (await parts.accounts.devices(account.id)).filter((row) => !row.revoked);
  if (living.length >= MAX_DEVICES) {
    throw new ProblemError(
      "conflict",
      `The account ${account.name} has ${MAX_DEVICES} devices, the most there may be; revoke one.`,
    );
  }
  const name = freeName(wished, living);
  const createdMs = parts.clock.nowMs();
  const device: DeviceRow = {
    id: deviceId(toHex(parts.chance.bytes(16))),
    account: account.id,
    name,
    createdMs,
    lastSeenMs: null,
    revoked: false,
  };
  const token = drawToken(parts.chance, "dev");
  await parts.accounts.createDevice(device, {
    hash: tokenHash(token),
    account: account.id,
    device: device.id,
    label: name,
    createdMs,
    expiresMs: null,
  });
  return { device, token };
}

/** Ends a device: its token opens nothing from now on. Throws ProblemError `not-found`. */
export async function revoke(
  parts: Pick<DeviceParts, "accounts">,
  account: AccountId,
  device: DeviceId,
): Promise<void> {
  if (!(await parts.accounts.revokeDevice(account, device))) {
    throw new ProblemError(
      "not-found",
      `This account has no device ${device}; list its devices for those it has.`,
    );
  }
}
