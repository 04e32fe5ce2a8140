import { strict as assert } from "node:assert";
import { test } from "node:test";
import { deviceId } from "#core/ids.ts";
import type { AccountRow, DeviceRow, Metadata, TokenRow } from "../../src/server/metadata/port.ts";
import type { OpenMetadata } from "./metadata.ts";
import { newAccount, newChunk, newNode } from "./tree.ts";

const VAULT = { bundle: "bundle", keyring: "keyring" };
const newHash = (): string => newChunk();
const newDevice = () => deviceId(newNode());

async function createAccount(metadata: Metadata): Promise<AccountRow> {
  const id = newAccount();
  const row = {
    id,
    name: `A ${id}`,
    key: `a ${id}`,
    opaqueRecord: "record",
    recoveryKey: "",
    createdMs: 3,
  };
  assert.equal(await metadata.accounts.createAccount(row, VAULT), true);
  return row;
}

function deviceOf(account: AccountRow, createdMs: number): { row: DeviceRow; token: TokenRow } {
  const id = newDevice();
  const row = { id, account: account.id, name: "laptop", createdMs, lastSeenMs: null };
  const token = { hash: newHash(), account: account.id, device: id, label: "device", createdMs };
  return { row: { ...row, revoked: false }, token: { ...token, expiresMs: null } };
}

/** Accounts, devices, tokens and join codes. */
export function accountContract(database: string, open: OpenMetadata): void {
  test(`two accounts never have one key (${database})`, async () => {
    await using under = await open();
    const { accounts } = under.metadata;
    const row = await createAccount(under.metadata);
    assert.equal(await accounts.createAccount({ ...row, id: newAccount() }, VAULT), false);
    assert.equal(await accounts.createAccount({ ...row, key: "another" }, VAULT), false);
    assert.deepEqual(await accounts.accountByKey(row.key), row);
    assert.deepEqual(await accounts.account(row.id), row);
    assert.equal(await accounts.accountByKey("nobody"), undefined);
    assert.equal(await accounts.account(newAccount()), undefined);
  });

  test(`of many that replace a bundle or a keyring one does (${database})`, async () => {
    await using under = await open();
    const { accounts } = under.metadata;
    const peer = (await under.peer()).accounts;
    const { id } = await createAccount(under.metadata);
    const first = { ...VAULT, bundleVersion: 1, keyringVersion: 1 };
    assert.deepEqual(await accounts.vault(id), first);
    const stores = [accounts, peer, accounts, peer];
    const replaced = await Promise.all(
      stores.map((store, at) => store.putKeyring(id, { version: 2, keyring: `keyring ${at}` })),
    );
    assert.equal(replaced.filter(Boolean).length, 1);
    assert.equal(await accounts.putKeyring(id, { version: 4, keyring: "skips" }), false);
    const older = { version: 2, keyring: "older", replaces: 2 };
    assert.equal(await accounts.putKeyring(id, older), false, "a version only grows");
    assert.equal(await accounts.putKeyring(id, { ...older, version: 9, replaces: 1 }), false);
    assert.equal(await accounts.putBundle(id, { version: 1, bundle: "old" }), false);
    const changed = { version: 2, bundle: "new", opaqueRecord: "another" };
    assert.equal(await peer.putBundle(id, changed), true);
    assert.equal((await accounts.account(id))?.opaqueRecord, "another");
    assert.equal(await peer.putBundle(id, { version: 3, bundle: "newer" }), true);
    assert.equal((await accounts.account(id))?.opaqueRecord, "another");
    const { keyring, ...rest } = (await accounts.vault(id)) ?? first;
    assert.equal(keyring, `keyring ${replaced.indexOf(true)}`);
    assert.deepEqual(rest, { bundle: "newer", bundleVersion: 3, keyringVersion: 2 });
    const overtaking = { version: 9, keyring: "of before a restore", replaces: 2 };
    assert.equal(await accounts.putKeyring(id, overtaking), true);
    assert.equal((await accounts.vault(id))?.keyringVersion, 9);
  });

  test(`a device comes with its token, and a revoked one loses it (${database})`, async () => {
    await using under = await open();
    const { accounts } = under.metadata;
    const account = await createAccount(under.metadata);
    const [first, second] = [deviceOf(account, 1), deviceOf(account, 2)];
    await accounts.createDevice(second.row, second.token);
    await accounts.createDevice(first.row, first.token);
    await accounts.seeDevice(first.row.id, 77);
    const seen = { ...first.row, lastSeenMs: 77 };
    assert.deepEqual(await accounts.devices(account.id), [seen, second.row]);
    assert.deepEqual(await accounts.tokenByHash(first.token.hash), first.token);

    const stranger = await createAccount(under.metadata);
    assert.equal(await accounts.revokeDevice(stranger.id, first.row.id), false);
    assert.equal(await accounts.revokeDevice(account.id, first.row.id), true);
    assert.equal(await accounts.tokenByHash(first.token.hash), undefined);
    assert.deepEqual(await accounts.tokenByHash(second.token.hash), second.token);
    assert.deepEqual(await accounts.devices(account.id), [{ ...seen, revoked: true }, second.row]);
  });

  test(`a device whose token cannot be stored is not stored either (${database})`, async () => {
    await using under = await open();
    const { accounts } = under.metadata;
    const account = await createAccount(under.metadata);
    const [first, second] = [deviceOf(account, 1), deviceOf(account, 2)];
    await accounts.createDevice(first.row, first.token);
    const twice = { ...second.token, hash: first.token.hash };
    await assert.rejects(accounts.createDevice(second.row, twice));
    assert.deepEqual(await accounts.devices(account.id), [first.row]);
  });

  test(`a program's token has no device and may expire (${database})`, async () => {
    await using under = await open();
    const { accounts } = under.metadata;
    const { id: account } = await createAccount(under.metadata);
    const token = { hash: newHash(), account, device: null, label: "ci", createdMs: 1 };
    await accounts.createToken({ ...token, expiresMs: 99 });
    assert.deepEqual(await accounts.tokenByHash(token.hash), { ...token, expiresMs: 99 });
    assert.equal(await accounts.tokenByHash(newHash()), undefined);
  });

  test(`of several who add a join code's next message one does (${database})`, async () => {
    await using under = await open();
    const { accounts } = under.metadata;
    const peer = await under.peer();
    const { id: account } = await createAccount(under.metadata);
    const row = { hash: newHash(), account, expiresMs: 99, messages: ["first"] };
    await accounts.createJoin(row);
    const adders = Array.from({ length: 10 }, (_, index) =>
      (index % 2 === 0 ? accounts : peer.accounts).addToJoin(row.hash, 1, `from ${index}`),
    );
    assert.deepEqual((await Promise.all(adders)).filter(Boolean), [true]);
    const { messages = [] } = (await peer.accounts.join(row.hash)) ?? {};
    assert.equal(messages.length, 2);
    assert.match(messages[1] ?? "", /^from \d$/);
    assert.equal(await accounts.addToJoin(row.hash, 3, "too early"), false);
    assert.equal(await accounts.addToJoin(newHash(), 0, "of no code"), false);
    assert.equal(await accounts.join(newHash()), undefined);
  });

  test(`join codes go when they expire, or are taken back (${database})`, async () => {
    await using under = await open();
    const { accounts } = under.metadata;
    const { id: account } = await createAccount(under.metadata);
    const rows = [10, 20, 30].map((expiresMs) => {
      return { hash: newHash(), account, expiresMs, messages: [`until ${expiresMs}`] };
    });
    for (const row of rows) await accounts.createJoin(row);
    await accounts.removeExpiredJoins(20);
    const hashes = rows.map(({ hash }) => hash);
    const left = async () => Promise.all(hashes.map(async (hash) => accounts.join(hash)));
    assert.deepEqual(await left(), [undefined, undefined, rows[2]]);
    await accounts.removeJoin(hashes[2] ?? "");
    assert.deepEqual(await left(), [undefined, undefined, undefined]);
  });
}
