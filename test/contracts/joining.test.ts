import assert from "node:assert/strict";
import * as fs from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { exchangeKeyOf } from "#cli/device-keys.ts";
import { Invitation, type Guest, type JoinOutcome } from "#cli/inviting.ts";
import { parseJoinCode } from "#cli/join-code.ts";
import { enrolByCode } from "#cli/joining.ts";
import { enrolBy, linkFolder, type Enrolment } from "#cli/linking.ts";
import type { LinkedFolder } from "#cli/links.ts";
import { callAs, callServer } from "#cli/server-calls.ts";
import { fromHex, toHex } from "#core/bytes.ts";
import { codeOf, messageOf } from "#core/errors.ts";
import * as exchange from "#crypto/join-exchange.ts";
import { joinKeys } from "#crypto/keys.ts";
import { openWith, sealFor } from "#platform/hpke.ts";
import { systemPrimitives } from "#platform/primitives.ts";
import { JOIN_PACKAGE, JOIN_REQUEST } from "#protocol/accounts.ts";
import { JoinProxy } from "./join-proxy.ts";
import { CREDENTIALS, opened, type KeysWorld } from "./keys-world.ts";

// Two machines and a join code, by way of a server that carries what they say, and may cheat.

const { hashes } = systemPrimitives;
const toBase64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64url");
const fromBase64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "base64url"));

/** A machine of alice's whose folder is linked. */
async function invitingFolder(world: KeysWorld): Promise<LinkedFolder> {
  const home = { path: join(world.folder, "home of laptop") };
  return linkFolder(home, join(world.folder, "laptop"), {
    server: world.url,
    device: "laptop",
    enrol: (device) => enrolBy(world.url, CREDENTIALS, device),
  });
}

type Meeting = {
  readonly folder: LinkedFolder;
  /** Through which the new machine reaches the server; itself unless told otherwise. */
  readonly by?: string;
  readonly decide?: (guest: Guest) => boolean;
  /** Is told the code before anybody uses it. */
  readonly onSecret?: (secret: string) => void;
};

type Met = {
  readonly secret: string;
  /** As the inviting machine shows them; null when nobody came so far. */
  readonly guest: Guest | null;
  readonly words: string | null;
  readonly outcome: PromiseSettledResult<JoinOutcome>;
  readonly enrolled: PromiseSettledResult<Enrolment>;
};

/** One machine makes a code, another uses it. */
async function meet({ folder, by, decide = () => true, onSecret }: Meeting): Promise<Met> {
  await using invitation = await Invitation.make(folder);
  const { server, secret } = parseJoinCode(invitation.code);
  onSecret?.(secret);
  let guest: Guest | null = null;
  let words: string | null = null;
  const stop = new AbortController();
  const ask = async (who: Guest): Promise<boolean> => {
    guest = who;
    return decide(who);
  };
  const waiting = invitation.wait(ask, stop.signal);
  const wish = {
    server: by ?? `http://${server}`,
    secret,
    device: "desk",
    show: (shown: string) => void (words = shown),
  };
  // Whichever side gives up first takes the other's hope away.
  const joining = enrolByCode(wish, stop.signal);
  waiting.catch(() => stop.abort());
  joining.catch(() => stop.abort());
  const [outcome, enrolled] = await Promise.allSettled([waiting, joining]);
  return { secret, guest, words, outcome, enrolled };
}

const reasonOf = (settled: PromiseSettledResult<unknown>): unknown =>
  settled.status === "rejected" ? settled.reason : null;

const livingDevices = async ({ link }: LinkedFolder): Promise<string[]> =>
  (await callAs(link).devices()).filter(({ revoked }) => !revoked).map(({ name }) => name);

function enrolledIn({ enrolled }: Met): Enrolment {
  assert.ok(enrolled.status === "fulfilled", messageOf(reasonOf(enrolled)));
  return enrolled.value;
}

test("SA14: both machines show the same four words, and one says yes: it is a device then", async () => {
  await using world = await opened();
  const folder = await invitingFolder(world);
  const met = await meet({ folder });
  assert.equal(met.guest?.name, "desk");
  assert.match(met.words ?? "", /^[a-z]+( [a-z]+){3}$/);
  assert.equal(met.guest?.words, met.words);
  const enrolment = enrolledIn(met);
  assert.equal(enrolment.space, folder.link.space);
  assert.deepEqual(met.outcome, { status: "fulfilled", value: { kind: "joined", name: "desk" } });
  const calls = callServer(world.url, enrolment.token);
  const keys = await enrolment.keys(calls);
  assert.ok(keys.keyring.spaces.some(({ space }) => space === folder.link.space));
  const another = await meet({ folder });
  assert.notEqual(another.words, met.words);
  assert.equal(enrolledIn(another).deviceName, "desk 2");
});

test("SA14: who is not let in is told so, and nothing was made", async () => {
  await using world = await opened();
  const folder = await invitingFolder(world);
  const met = await meet({ folder, decide: () => false });
  assert.deepEqual(met.outcome, { status: "fulfilled", value: { kind: "refused" } });
  assert.match(messageOf(reasonOf(met.enrolled)), /did not let this one in/);
  assert.deepEqual(await livingDevices(folder), ["laptop"]);
  const wish = { server: world.url, secret: met.secret, device: "again", show: () => undefined };
  await assert.rejects(enrolByCode(wish), { code: "not-found" });
});

test("T-KY-05: a server that puts its own key in the place of the new machine's is found out", async () => {
  await using world = await opened();
  const folder = await invitingFolder(world);
  const own = new Uint8Array(32).fill(7);
  await using proxy = await JoinProxy.open(world.url, (number, message) => {
    if (number !== JOIN_REQUEST) return message;
    const changed = fromBase64(message);
    changed.set(exchangeKeyOf(own), 4);
    return toBase64(changed);
  });
  const met = await meet({ folder, by: proxy.url });
  assert.equal(codeOf(reasonOf(met.outcome)), "bad-join");
  assert.equal(met.guest, null, "nobody is even asked");
  assert.equal(met.enrolled.status, "rejected");
  assert.deepEqual(await livingDevices(folder), ["laptop"]);
});

test("T-KY-05: a server that has learned the code and stands between shows each machine other words", async () => {
  await using world = await opened();
  const folder = await invitingFolder(world);
  const own = new Uint8Array(32).fill(7);
  const proof = { secret: "" };
  let commitment = new Uint8Array(0);
  await using proxy = await JoinProxy.open(world.url, (number, message) => {
    if (number === 0) commitment = new Uint8Array(fromBase64(message));
    if (number !== JOIN_REQUEST) return message;
    const asked = { publicKey: exchangeKeyOf(own), name: "desk" };
    const keys = joinKeys(hashes, proof.secret);
    return toBase64(exchange.writeRequest(hashes, keys, commitment, asked));
  });
  await using invitation = await Invitation.make(folder);
  const { secret } = parseJoinCode(invitation.code);
  proof.secret = secret;
  const shown = { here: "", there: "" };
  const compared = Promise.withResolvers<void>();
  const wish = {
    server: proxy.url,
    secret,
    device: "desk",
    show: (words: string) => {
      shown.there = words;
      compared.resolve();
    },
  };
  const decide = async ({ words }: Guest): Promise<boolean> => {
    await compared.promise;
    shown.here = words;
    return words === shown.there;
  };
  const [outcome, enrolled] = await Promise.allSettled([
    invitation.wait(decide, new AbortController().signal),
    enrolByCode(wish),
  ]);
  assert.deepEqual(outcome, { status: "fulfilled", value: { kind: "refused" } });
  assert.match(messageOf(reasonOf(enrolled)), /did not let this one in/);
  assert.match(shown.here, /^[a-z]+( [a-z]+){3}$/);
  assert.notEqual(shown.here, shown.there);
  assert.deepEqual(await livingDevices(folder), ["laptop"]);
});

test("T-KY-05: a server that does not know the code hands over no package of its own", async () => {
  await using world = await opened();
  const folder = await invitingFolder(world);
  const plain = new Uint8Array(300);
  let forged = new Uint8Array(0);
  const said = new Map<number, Uint8Array>();
  const locator = { hex: "" };
  await using proxy = await JoinProxy.open(world.url, async (number, message) => {
    said.set(number, fromBase64(message));
    if (number !== JOIN_PACKAGE) return message;
    const [commitment, request, nonce] = [0, 1, 2].map((at) => said.get(at) ?? assert.fail());
    // Whatever it does not know may be anything: the transcript takes the locator alone.
    const keys = { ...joinKeys(hashes, "ANYTHING"), locator: fromHex(locator.hex) };
    const talk = { commitment, request, nonce } as exchange.JoinTalk;
    const info = exchange.packageContext(exchange.transcriptOf(hashes, keys, talk));
    const publicKey = (request ?? assert.fail()).slice(4, 36);
    forged = new Uint8Array(await sealFor(publicKey, plain, info));
    return toBase64(forged);
  });
  const met = await meet({
    folder,
    by: proxy.url,
    onSecret: (secret) => {
      locator.hex = toHex(joinKeys(hashes, secret).locator);
    },
  });
  assert.ok(forged.length > plain.length);
  assert.equal(codeOf(reasonOf(met.enrolled)), "bad-seal");
});

test("T-KY-05: whatever a server changes of what two machines say, none joins by it", async () => {
  await using world = await opened();
  const folder = await invitingFolder(world);
  const codes: Record<number, string> = { 0: "bad-join", 2: "bad-join", 4: "bad-seal" };
  for (const [changed, code] of Object.entries(codes)) {
    await using proxy = await JoinProxy.open(world.url, (number, message) => {
      if (number !== Number(changed)) return message;
      const bytes = fromBase64(message);
      bytes[bytes.length - 1]! ^= 1;
      return toBase64(bytes);
    });
    const { outcome, enrolled } = await meet({ folder, by: proxy.url });
    const found = [outcome, enrolled].map((each) => codeOf(reasonOf(each)));
    assert.ok(found.includes(code), `message ${changed}: ${found.join(", ")}`);
    assert.equal(enrolled.status, "rejected");
  }
});

test("T-KY-05: a code is used once, and a machine that guesses gets nowhere", async () => {
  await using world = await opened();
  const folder = await invitingFolder(world);
  const { secret } = await meet({ folder });
  const wish = (own: string) => {
    return { server: world.url, secret: own, device: "more", show: () => undefined };
  };
  await assert.rejects(enrolByCode(wish(secret)), { code: "not-found" });
  const near = secret.slice(0, -1) + (secret.endsWith("0") ? "1" : "0");
  await assert.rejects(enrolByCode(wish(near)), { code: "not-found" });
});

test("SA13: who has recorded an exchange and learns the code afterwards opens nothing", async () => {
  await using world = await opened();
  const folder = await invitingFolder(world);
  await using proxy = await JoinProxy.open(world.url);
  const met = await meet({ folder, by: proxy.url });
  enrolledIn(met);
  const message = (number: number): Uint8Array => fromBase64(proxy.seen.get(number) ?? "");
  const [commitment, request, nonce] = [message(0), message(1), message(2)];
  const sealed = message(JOIN_PACKAGE);
  assert.ok(sealed.length > 100);
  const keys = joinKeys(hashes, met.secret);
  const transcript = exchange.transcriptOf(hashes, keys, { commitment, request, nonce });
  const info = exchange.packageContext(transcript);
  const shared = { psk: keys.psk, pskId: keys.locator };
  const { publicKey } = exchange.readRequest(hashes, keys, commitment, request);
  // All that the code makes and all that was said: none of it is the half that never left.
  const guesses = [keys.psk, keys.proof, keys.words, keys.locator, transcript, nonce, publicKey];
  for (const guess of [...guesses, sealed.subarray(0, 32)]) {
    await assert.rejects(openWith(guess, sealed, info, shared), { code: "bad-seal" });
  }
});

test("SA11, T-JR-04: a machine that joins takes no older state than the one that invited it saw", async () => {
  await using world = await opened();
  const folder = await invitingFolder(world);
  const joined = async (lie: () => void): Promise<unknown> => {
    world.edit("UPDATE spaces SET head = 7");
    const enrolment = enrolledIn(await meet({ folder }));
    lie();
    return enrolment.keys(callServer(world.url, enrolment.token));
  };
  await joined(() => undefined);
  const older = /an older state than the one that invited it/;
  const chain = Buffer.alloc(32, 1);
  await assert.rejects(
    joined(() => world.edit("UPDATE spaces SET head = 6")),
    older,
  );
  const before = callAs(folder.link);
  const [row] = await before.listSpaces();
  await assert.rejects(
    joined(() => world.edit("UPDATE spaces SET chain = ?", chain)),
    older,
  );
  world.edit("UPDATE spaces SET chain = ?", Buffer.from(row?.chain ?? "", "hex"));
  const { keyring } = await before.vault();
  const { keys, calls } = await world.device("another");
  assert.ok(keys.seen.version > 1 && keyring !== (await calls.vault()).keyring);
  await assert.rejects(
    joined(() => world.edit("UPDATE accounts SET keyring = ?", keyring)),
    { code: "keyring-went-back" },
  );
  assert.ok(fs.existsSync(folder.link.dir));
});
