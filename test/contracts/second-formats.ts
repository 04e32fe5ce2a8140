import { ed25519, ristretto255_oprf } from "@noble/curves/ed25519.js";
import * as zlib from "node:zlib";
import {
  bytesOf,
  longEntries,
  type EntryVector,
  type Inputs,
  type Outputs,
} from "./sealed-vectors.ts";
import { hkdfExpand, hmac, secondPrimitives } from "./second-primitives.ts";

// The sealed formats a second time, written from their description alone and with other libraries:
// what the vectors are worth. Nothing here imports what it checks.

const { hashes, cipher } = secondPrimitives;

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const unhex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "hex"));
const join = (...parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));
const ascii = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "utf8"));
const text64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64url");
const label = (name: string): Uint8Array => ascii(`lockstep/1/${name}\0`);
const sha256 = async (...parts: Uint8Array[]): Promise<Uint8Array> => hashes.sha256(parts);

function int(lengthBytes: 1 | 2 | 4 | 8, value: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(value));
  return new Uint8Array(bytes.subarray(8 - lengthBytes));
}

async function derive(
  key: Uint8Array,
  name: string,
  more: { readonly context?: Uint8Array; readonly lengthBytes?: number } = {},
): Promise<Uint8Array> {
  const { context = new Uint8Array(0), lengthBytes = 32 } = more;
  return hkdfExpand(key, join(label(name), int(2, context.length), context), lengthBytes);
}

/** By the paper: E = floor(log2 L), S = floor(log2 E) + 1, the last E - S bits are zero. */
function padme(length: number): number {
  if (length < 256) return 256;
  const e = Math.floor(Math.log2(length));
  const s = Math.floor(Math.log2(e)) + 1;
  const mask = 2n ** BigInt(e - s) - 1n;
  return Number((BigInt(length) + mask) & ~mask);
}

function padded(plain: Uint8Array, step: (length: number) => number): Uint8Array {
  const whole = new Uint8Array(step(plain.length + 4));
  whole.set(join(int(4, plain.length), plain));
  return whole;
}

async function splitKeys(
  key: Uint8Array,
  info: Uint8Array,
): Promise<{ key: Uint8Array; nonce: Uint8Array; commitment: Uint8Array }> {
  const all = await hkdfExpand(key, info, 76);
  return { key: all.slice(0, 32), nonce: all.slice(32, 44), commitment: all.slice(44) };
}

type Stored = EntryVector & { readonly stored: Uint8Array };

/** Nothing of the vectors compresses, so that every frame is raw. */
async function chunk(
  raw: Uint8Array,
  how: {
    domain: "shared" | "private";
    epoch: number;
    secret: (f: Uint8Array) => Promise<Uint8Array>;
    delta?: Uint8Array;
  },
): Promise<Stored> {
  const payload = how.delta ?? raw;
  const frame = new Uint8Array(padme(12 + payload.length));
  const rawHash = await sha256(raw);
  const codec = Uint8Array.of(1, how.delta ? 2 : 0, 0, 0);
  frame.set(join(codec, int(4, raw.length), int(4, payload.length), payload));
  const domainByte = how.domain === "shared" ? 1 : 2;
  const head = join(ascii("LSC1"), Uint8Array.of(1, domainByte), int(2, how.epoch));
  const secret = await how.secret(
    await sha256(label("frame"), head, frame.slice(0, 12), await sha256(payload)),
  );
  const made = await splitKeys(secret, join(label("chunk-keys"), head));
  const open = join(head, made.commitment);
  const sealed = new Uint8Array(frame.length + 16);
  await cipher.seal({ key: made.key, nonce: made.nonce, associated: open }, [frame], sealed);
  const stored = join(open, sealed);
  return {
    chunk: hex(await sha256(stored)),
    secret: hex(secret),
    raw: hex(rawHash),
    lengthBytes: raw.length,
    domain: how.domain,
    epoch: how.epoch,
    stored,
  };
}

/** Opens a chunk of either codec. */
export async function secondOpen(entry: EntryVector, stored: Uint8Array): Promise<Uint8Array> {
  const head = stored.slice(0, 8);
  const made = await splitKeys(unhex(entry.secret), join(label("chunk-keys"), head));
  if (hex(made.commitment) !== hex(stored.slice(8, 40))) throw new Error("another commitment");
  const use = { key: made.key, nonce: made.nonce, associated: stored.slice(0, 40) };
  const frame = Buffer.from((await cipher.open(use, stored.slice(40))) ?? "");
  const payload = frame.subarray(12, 12 + frame.readUInt32BE(8));
  return new Uint8Array(frame[1] === 1 ? zlib.zstdDecompressSync(payload) : payload);
}

async function cobblestone(
  key: Uint8Array,
  salt: Uint8Array,
  context: Uint8Array,
  plain: Uint8Array,
): Promise<Uint8Array> {
  const info = ascii("c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0");
  const made = await splitKeys(key, join(info, salt, context));
  const parts = [salt, made.commitment];
  for (let at = 0; at <= plain.length; at += 16_384) {
    const nonce = Buffer.from(made.nonce);
    nonce.writeUInt32BE((nonce.readUInt32BE(8) ^ (at / 16_384)) >>> 0, 8);
    const piece = plain.slice(at, at + 16_384);
    const sealed = new Uint8Array(piece.length + 16);
    await cipher.seal({ key: made.key, nonce, associated: new Uint8Array(0) }, [piece], sealed);
    parts.push(sealed);
  }
  return join(...parts);
}

function entryBytes({
  chunk: id,
  secret,
  raw,
  lengthBytes,
  domain,
  epoch,
  bases = [],
}: EntryVector): Uint8Array {
  const domainByte = domain === "shared" ? 1 : 2;
  const ends = join(Uint8Array.of(domainByte), int(2, epoch), Uint8Array.of(bases.length));
  const own = join(unhex(id), unhex(secret), unhex(raw), int(4, lengthBytes), ends);
  return join(own, ...bases.map(entryBytes));
}

function manifestBytes(
  level: number,
  size: number,
  hash: string,
  entries: readonly EntryVector[],
): Uint8Array {
  const head = join(ascii("LSM1"), Uint8Array.of(1, level, 0, 0), int(8, size), unhex(hash));
  return join(head, int(4, entries.length), ...entries.map(entryBytes));
}

type SpaceKeys = Readonly<Record<keyof Outputs["spaceKeys"], Uint8Array>>;

async function manifest(
  { entries: count, sha256: hash }: Inputs["manifest"],
  epoch: number,
  keys: SpaceKeys,
): Promise<Outputs["manifest"]> {
  let level = 0;
  let entries: readonly EntryVector[] = longEntries(count);
  const size = entries.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
  const ids: string[] = [];
  while (52 + entries.length * 104 > 4096) {
    const cuts = [0];
    for (let at = 1; at <= entries.length; at++) {
      const length = at - cuts.at(-1)!;
      const ends = parseInt(entries[at - 1]!.secret.slice(0, 2), 16) % 64 === 0 && length >= 32;
      if (at === entries.length || length === 256 || ends) cuts.push(at);
    }
    const above: EntryVector[] = [];
    for (let piece = 1; piece < cuts.length; piece++) {
      const inside = entries.slice(cuts[piece - 1], cuts[piece]).map(entryBytes);
      const raw = join(ascii("LSP1"), Uint8Array.of(level, 0, 0, 0), ...inside);
      const secret = (input: Uint8Array): Promise<Uint8Array> =>
        derive(keys.manifest, "private-chunk-secret", { context: input });
      above.push(await chunk(raw, { domain: "private", epoch, secret }));
    }
    ids.push(...above.map((entry) => entry.chunk));
    entries = above;
    level++;
  }
  return { sha256: hex(await sha256(manifestBytes(level, size, hash, entries))), pieces: ids };
}

function metaBytes(meta: Inputs["metas"][number]["meta"], entry: EntryVector): Uint8Array {
  switch (meta.kind) {
    case "inline":
      return join(Uint8Array.of(1, 1, 0, 0), int(8, meta.mtimeMs), unhex(meta.bytes));
    case "listed": {
      const list = manifestBytes(0, entry.lengthBytes, meta.sha256, [entry]);
      return join(Uint8Array.of(1, 1, 1, 1), int(8, meta.mtimeMs), list);
    }
    case "folder":
      return join(Uint8Array.of(1, 2, 0, 0), int(8, 0));
    case "symlink": {
      const target = ascii(meta.target);
      return join(Uint8Array.of(1, 3, 0, 0), int(8, 0), int(2, target.length), target);
    }
  }
}

function oprf({ seed, epoch, inputs, blinds, proofRandom }: Inputs["oprf"]): Outputs["oprf"] {
  const { voprf } = ristretto255_oprf;
  // noble takes what it draws modulo the order less one, and adds one.
  const scripted = (scalar: string) => (lengthBytes?: number) => {
    const drawn = Buffer.alloc(lengthBytes ?? 48, unhex(scalar));
    drawn.fill(0, 32);
    drawn.writeUInt32LE(drawn.readUInt32LE() - 1);
    return new Uint8Array(drawn);
  };
  const pair = voprf.deriveKeyPair(unhex(seed), ascii(`lockstep/1/oprf-epoch-${epoch}`));
  const asked = inputs.map((input, at) => {
    return { input: unhex(input), ...voprf.blind(unhex(input), scripted(blinds[at]!)) };
  });
  const blinded = asked.map((one) => one.blinded);
  const { secretKey, publicKey } = pair;
  const random = scripted(proofRandom);
  const { evaluated, proof } = voprf.blindEvaluateBatch(secretKey, publicKey, blinded, random);
  const items = asked.map((one, at) => ({ ...one, evaluated: evaluated[at]! }));
  return {
    publicKey: hex(publicKey),
    request: hex(join(int(2, epoch), int(2, inputs.length), ...blinded)),
    answer: hex(join(...evaluated, proof)),
    outputs: voprf.finalizeBatch(items, publicKey, proof).map(hex),
  };
}

async function account(inputs: Inputs): Promise<Pick<Outputs, "certificate" | "keyring">> {
  const { account: owner, space, commit, keyring: ring } = inputs;
  const identity = unhex(ring.identitySeed);
  const facts = join(
    ascii("LSD1"),
    unhex(owner.id),
    unhex(commit.device),
    ed25519.getPublicKey(unhex(commit.seed)),
    unhex(ring.exchangeKey),
  );
  const certificate = join(facts, ed25519.sign(join(label("certificate-sig"), facts), identity));
  const spaceName = ascii(ring.spaceName);
  const pinName = ascii(ring.pin.name);
  const pin = unhex(ring.pin.value);
  const body = join(
    ascii("LSK1"),
    unhex(owner.id),
    int(8, ring.version),
    unhex(ring.before),
    identity,
    int(2, 1),
    unhex(space.id),
    int(1, 1),
    int(2, spaceName.length),
    spaceName,
    int(2, 1),
    int(2, space.epoch),
    int(8, ring.since),
    unhex(space.root),
    int(2, 1),
    certificate,
    int(8, ring.revokedIn),
    int(2, 1),
    int(2, pinName.length),
    pinName,
    int(2, pin.length),
    pin,
  );
  const signature = ed25519.sign(join(label("keyring-sig"), body), identity);
  const key = await derive(unhex(owner.key), "account/keyring");
  const context = join(label("keyring"), unhex(owner.id), int(8, ring.version));
  const plain = padded(join(body, signature), padme);
  const sealed = await cobblestone(key, unhex(ring.salt), context, plain);
  const whole = join(int(8, ring.version), sealed);
  return {
    certificate: hex(certificate),
    keyring: { sealed: hex(await sha256(whole)), hash: hex(await sha256(body)) },
  };
}

async function keysOf({ space }: Inputs): Promise<SpaceKeys> {
  const root = unhex(space.root);
  return {
    meta: await derive(root, "space/meta"),
    name: await derive(root, "space/name"),
    content: await derive(root, "space/content"),
    manifest: await derive(root, "space/manifest"),
    cut: await derive(root, "space/chunker", { lengthBytes: 48 }),
  };
}

async function chunks(inputs: Inputs, keys: SpaceKeys): Promise<Outputs["chunks"]> {
  const made: Outputs["chunks"][number][] = [];
  for (const { raw, evaluated } of inputs.chunks) {
    const { stored, ...entry } =
      evaluated === undefined
        ? await chunk(bytesOf(raw), {
            domain: "private",
            epoch: inputs.space.epoch,
            secret: (context) => derive(keys.content, "private-chunk-secret", { context }),
          })
        : await chunk(bytesOf(raw), {
            domain: "shared",
            epoch: 1,
            secret: async () => {
              const salt = ascii("lockstep/1/oprf-output");
              const extracted = await hmac("SHA-512", salt, [unhex(evaluated)]);
              return hkdfExpand(extracted, ascii("lockstep/1/chunk-secret"), 32);
            },
          });
    made.push({ ...entry, lengthStored: stored.length, head: hex(stored.slice(0, 40)) });
  }
  return made;
}

async function delta(
  { delta: given, space }: Inputs,
  keys: SpaceKeys,
  made: Outputs["chunks"],
): Promise<Outputs["delta"]> {
  const { stored: _, ...own } = await chunk(bytesOf(given.raw), {
    domain: "private",
    epoch: space.epoch,
    secret: (context) => derive(keys.content, "private-chunk-secret", { context }),
    delta: unhex(given.delta),
  });
  const bases = given.bases.map((base): EntryVector => {
    const { lengthStored: _length, head: _head, ...entry } = made[base]!;
    return entry;
  });
  const entry = { ...own, bases };
  const listed = manifestBytes(0, own.lengthBytes, own.raw, [entry]);
  return { entry, listed: hex(await sha256(listed)) };
}

async function nodes(
  { space, place, names, metas, sealed, entry }: Inputs,
  keys: SpaceKeys,
): Promise<Pick<Outputs, "names" | "metas" | "sealed">> {
  const [inSpace, node, parent] = [unhex(space.id), unhex(place.node), unhex(place.parent)];
  const epoch = int(2, space.epoch);
  const metaContext = join(label("meta"), inSpace, node, int(8, place.follows), epoch);
  const nameContext = join(label("sealed-name"), inSpace, node, parent, epoch);
  const out = {
    names: [] as Outputs["names"][number][],
    metas: [] as string[],
    sealed: [] as Outputs["sealed"][number][],
  };
  for (const { salt, name, folding } of names) {
    const plain = padded(ascii(name), (length) => Math.ceil(length / 64) * 64);
    const box = await cobblestone(keys.meta, unhex(salt), nameContext, plain);
    const folded = name.normalize("NFD").toUpperCase().toLowerCase().normalize("NFC");
    const compared = ascii(folding ? folded : name.normalize("NFC"));
    const token = await hmac("SHA-256", keys.name, [label("name"), parent, compared]);
    out.names.push({ name: text64(join(epoch, box)), key: text64(token) });
  }
  for (const { salt, meta } of metas) {
    const plain = padded(metaBytes(meta, entry), padme);
    const box = await cobblestone(keys.meta, unhex(salt), metaContext, plain);
    out.metas.push(text64(join(epoch, box)));
  }
  for (const { salt, plain } of sealed) {
    const box = await cobblestone(keys.meta, unhex(salt), metaContext, bytesOf(plain));
    out.sealed.push({ lengthBytes: box.length, sha256: hex(await sha256(box)) });
  }
  return out;
}

/** The second implementation's answers. */
export async function secondOutputs(inputs: Inputs): Promise<Outputs> {
  const { space, commit } = inputs;
  const keys = await keysOf(inputs);
  const made = await chunks(inputs, keys);
  const signed = join(
    label("journal-sig"),
    ascii("LSJ1"),
    Uint8Array.of(1, 0),
    int(2, space.epoch),
    ...[space.id, commit.commit, commit.device].map(unhex),
    int(8, commit.base.sequence),
    unhex(commit.base.chain),
    unhex(commit.changes),
  );
  return {
    padme: inputs.padme.map(padme),
    spaceKeys: {
      meta: hex(keys.meta),
      name: hex(keys.name),
      content: hex(keys.content),
      manifest: hex(keys.manifest),
      cut: hex(keys.cut),
    },
    keyringKey: hex(await derive(unhex(inputs.account.key), "account/keyring")),
    chunks: made,
    delta: await delta(inputs, keys, made),
    oprf: oprf(inputs.oprf),
    ...(await nodes(inputs, keys)),
    manifest: await manifest(inputs.manifest, space.epoch, keys),
    commit: hex(ed25519.sign(signed, unhex(commit.seed))),
    ...(await account(inputs)),
  };
}
