import * as fs from "node:fs";
import { randomSample } from "#chunking/sample-bytes.ts";
import { concat, fromHex, toHex } from "#core/bytes.ts";
import * as ids from "#core/ids.ts";
import type { Chance } from "#core/world.ts";
import { certify, writeCertificate } from "#crypto/certificate.ts";
import * as chunk from "#crypto/chunk.ts";
import { signCommit } from "#crypto/journal.ts";
import * as keys from "#crypto/keys.ts";
import { sealKeyring, type Keyring } from "#crypto/keyring.ts";
import { closeManifest, sealPiece, writeManifest, type Manifest } from "#crypto/manifest.ts";
import { sealMeta, type SealedMeta } from "#crypto/meta.ts";
import { sealName } from "#crypto/names.ts";
import { evaluate, evaluationKey, Question, readRequest } from "#crypto/oprf.ts";
import { padme } from "#crypto/padding.ts";
import type { Primitives } from "#crypto/primitives.ts";
import type { Ristretto } from "#crypto/ristretto.ts";
import { seal } from "#crypto/sealed.ts";

/** Bytes by how they are made: hexadecimal, or `randomSample` of a seed. */
export type Bytes = string | { readonly seed: number; readonly lengthBytes: number };

export type EntryVector = {
  readonly chunk: string;
  readonly secret: string;
  readonly raw: string;
  readonly lengthBytes: number;
  readonly domain: chunk.Domain;
  readonly epoch: number;
  readonly bases?: readonly EntryVector[];
};

/** What both implementations are given. Binary values are hexadecimal. */
export type Inputs = {
  readonly padme: readonly number[];
  readonly space: { readonly id: string; readonly epoch: number; readonly root: string };
  readonly account: { readonly id: string; readonly key: string };
  readonly chunks: readonly { readonly raw: Bytes; readonly evaluated?: string }[];
  /** A chunk for the space alone, as a delta to those that come out of `chunks`. */
  readonly delta: {
    readonly raw: Bytes;
    readonly delta: string;
    readonly bases: readonly number[];
  };
  readonly oprf: {
    readonly seed: string;
    readonly epoch: number;
    readonly inputs: readonly string[];
    readonly blinds: readonly string[];
    readonly proofRandom: string;
  };
  /** With the space's meta key, as the meta of this node. */
  readonly sealed: readonly { readonly salt: string; readonly plain: Bytes }[];
  readonly place: { readonly node: string; readonly parent: string; readonly follows: number };
  readonly names: readonly {
    readonly salt: string;
    readonly name: string;
    readonly folding: boolean;
  }[];
  readonly entry: EntryVector;
  readonly metas: readonly {
    readonly salt: string;
    readonly meta:
      | { readonly kind: "inline"; readonly mtimeMs: number; readonly bytes: string }
      | { readonly kind: "listed"; readonly mtimeMs: number; readonly sha256: string }
      | { readonly kind: "folder" }
      | { readonly kind: "symlink"; readonly target: string };
  }[];
  /** Entry i has the id, secret and raw hash that randomSample(i, 96) consists of. */
  readonly manifest: { readonly entries: number; readonly sha256: string };
  readonly commit: {
    readonly seed: string;
    readonly commit: string;
    readonly device: string;
    readonly base: { readonly sequence: number; readonly chain: string };
    readonly changes: string;
  };
  readonly keyring: {
    readonly spaceName: string;
    readonly salt: string;
    readonly version: number;
    readonly before: string;
    readonly identitySeed: string;
    readonly exchangeKey: string;
    readonly since: number;
    readonly revokedIn: number;
    readonly pin: { readonly name: string; readonly value: string };
  };
};

/** What both have to make of it; long values by their SHA-256. */
export type Outputs = {
  readonly padme: readonly number[];
  readonly spaceKeys: Readonly<Record<"meta" | "name" | "content" | "manifest" | "cut", string>>;
  readonly keyringKey: string;
  readonly chunks: readonly (EntryVector & { readonly lengthStored: number; head: string })[];
  /** The delta's entry, and the SHA-256 of a manifest that consists of it. */
  readonly delta: { readonly entry: EntryVector; readonly listed: string };
  readonly oprf: Readonly<Record<"publicKey" | "request" | "answer", string>> & {
    readonly outputs: readonly string[];
  };
  readonly sealed: readonly { readonly lengthBytes: number; readonly sha256: string }[];
  readonly names: readonly { readonly name: string; readonly key: string }[];
  readonly metas: readonly string[];
  readonly manifest: { readonly sha256: string; readonly pieces: readonly string[] };
  readonly commit: string;
  readonly certificate: string;
  readonly keyring: { readonly sealed: string; readonly hash: string };
};

export type Vectors = {
  readonly note: string;
  readonly inputs: Inputs;
  readonly outputs: Outputs;
  /** A compressed chunk: it has to open, and need not be what another zstd makes. */
  readonly packed: { readonly entry: EntryVector; readonly stored: string; readonly raw: string };
};

export function readVectors(): Vectors {
  const file = new URL("../../src/crypto/vectors.json", import.meta.url);
  return JSON.parse(fs.readFileSync(file, "utf8")) as Vectors;
}

export function bytesOf(bytes: Bytes): Uint8Array {
  return typeof bytes === "string" ? fromHex(bytes) : randomSample(bytes.seed, bytes.lengthBytes);
}

/** Gives out what it was told to, each once; what is missing of a longer draw is zero. */
function scripted(...draws: readonly string[]): Chance {
  const left = [...draws];
  return {
    bytes(length) {
      const drawn = fromHex(left.shift() ?? "");
      return concat([drawn, new Uint8Array(length - drawn.length)]);
    },
  };
}

export function entryOf(vector: EntryVector): chunk.SealedEntry {
  const { chunk: id, secret, raw, bases, ...rest } = vector;
  const hashes = { chunk: ids.chunkId(id), raw: ids.chunkId(raw) };
  const entry = { ...hashes, secret: keys.chunkSecret(fromHex(secret)), ...rest };
  return bases === undefined ? entry : { ...entry, bases: bases.map(entryOf) };
}

function vectorOf({ chunk: id, secret, bases, ...rest }: chunk.SealedEntry): EntryVector {
  const vector = { chunk: id, secret: toHex(secret), ...rest };
  return bases === undefined ? vector : { ...vector, bases: bases.map(vectorOf) };
}

/** Our own implementation's answers. */
export function ourOutputs(
  { inputs }: Pick<Vectors, "inputs">,
  primitives: Primitives,
  ristretto: Ristretto,
): Outputs {
  const { hashes } = primitives;
  const { space, account, place } = inputs;
  const root = keys.rootKey(fromHex(space.root));
  const spaceKeys = keys.spaceKeys(hashes, ids.spaceId(space.id), space.epoch, root);
  const drawing = (...draws: readonly string[]): Primitives => ({
    ...primitives,
    chance: scripted(...draws),
  });
  const sha256 = (bytes: Uint8Array): string => toHex(hashes.sha256([bytes]));
  const at = {
    node: ids.nodeId(place.node),
    parent: ids.nodeId(place.parent),
    follows: place.follows,
  };
  return {
    padme: inputs.padme.map(padme),
    spaceKeys: {
      meta: toHex(spaceKeys.meta),
      name: toHex(spaceKeys.name),
      content: toHex(spaceKeys.content),
      manifest: toHex(spaceKeys.manifest),
      cut: toHex(spaceKeys.cut),
    },
    keyringKey: toHex(keys.keyringKey(hashes, keys.accountKey(fromHex(account.key)))),
    chunks: inputs.chunks.map(({ raw, evaluated }) => {
      const { entry, stored } = sealOne(primitives, spaceKeys, bytesOf(raw), evaluated);
      return {
        ...vectorOf(entry),
        lengthStored: stored.length,
        head: toHex(stored.subarray(0, 40)),
      };
    }),
    delta: deltaOutputs(inputs, primitives, spaceKeys),
    oprf: oprfOutputs(inputs.oprf, primitives, ristretto),
    sealed: inputs.sealed.map(({ salt, plain }) => {
      const context = keys.metaContext(spaceKeys, at);
      const sealed = seal(drawing(salt), spaceKeys.meta, context, bytesOf(plain));
      return { lengthBytes: sealed.length, sha256: sha256(sealed) };
    }),
    names: inputs.names.map(({ salt, name, folding }) =>
      sealName(drawing(salt), spaceKeys, { ...at, folding }, name),
    ),
    metas: inputs.metas.map(({ salt, meta }) =>
      sealMeta(drawing(salt), spaceKeys, at, metaOf(meta, entryOf(inputs.entry))),
    ),
    manifest: manifestOutputs(inputs.manifest, primitives, spaceKeys),
    commit: signCommit(primitives, keys.signingSeed(fromHex(inputs.commit.seed)), {
      space: ids.spaceId(space.id),
      commit: ids.commitId(inputs.commit.commit),
      device: ids.deviceId(inputs.commit.device),
      epoch: space.epoch,
      base: inputs.commit.base,
      changes: fromHex(inputs.commit.changes),
    }),
    ...accountOutputs(inputs, primitives, drawing(inputs.keyring.salt)),
  };
}

function sealOne(
  primitives: Primitives,
  { content, epoch }: keys.SpaceKeys,
  raw: Uint8Array,
  evaluated: string | undefined,
): chunk.SealedChunk {
  if (evaluated === undefined) return chunk.sealPrivate(primitives, { key: content, epoch }, raw);
  const framed = chunk.frameShared(primitives, 1, raw);
  return chunk.sealShared(primitives, framed, fromHex(evaluated));
}

function deltaOutputs(
  { delta: { raw, delta, bases }, chunks }: Inputs,
  primitives: Primitives,
  spaceKeys: keys.SpaceKeys,
): Outputs["delta"] {
  const sealing = { key: spaceKeys.content, epoch: spaceKeys.epoch };
  const to = {
    delta: fromHex(delta),
    bases: bases.map((base) => {
      const { raw: bytes, evaluated } = chunks[base]!;
      return sealOne(primitives, spaceKeys, bytesOf(bytes), evaluated).entry;
    }),
  };
  const framed = chunk.framePrivate(primitives, sealing, bytesOf(raw), to);
  const { entry } = chunk.sealAlone(primitives, sealing, framed);
  const sha256 = ids.contentHash(entry.raw);
  const list = { level: 0, sizeBytes: entry.lengthBytes, sha256, entries: [entry] };
  const listed = toHex(primitives.hashes.sha256([writeManifest(list)]));
  return { entry: vectorOf(entry), listed };
}

function oprfOutputs(
  { seed, epoch, inputs, blinds, proofRandom }: Inputs["oprf"],
  { hashes }: Primitives,
  ristretto: Ristretto,
): Outputs["oprf"] {
  const key = evaluationKey({ hashes, ristretto, chance: scripted() }, epoch, fromHex(seed));
  const asking = { hashes, ristretto, chance: scripted(...blinds) };
  const answering = { hashes, ristretto, chance: scripted(proofRandom) };
  const question = new Question(asking, key, inputs.map(fromHex));
  const answer = evaluate(answering, key, readRequest(answering, question.request));
  return {
    publicKey: toHex(key.publicKey),
    request: toHex(question.request),
    answer: toHex(answer),
    outputs: question.finish(answer).map(toHex),
  };
}

function metaOf(meta: Inputs["metas"][number]["meta"], entry: chunk.SealedEntry): SealedMeta {
  if (meta.kind === "folder" || meta.kind === "symlink") return meta;
  const { mtimeMs } = meta;
  if (meta.kind === "inline") {
    const bytes = fromHex(meta.bytes);
    return { kind: "file", executable: false, mtimeMs, body: { kind: "inline", bytes } };
  }
  const sizeBytes = entry.lengthBytes;
  const sha256 = ids.contentHash(meta.sha256);
  const manifest: Manifest = { level: 0, sizeBytes, sha256, entries: [entry] };
  return { kind: "file", executable: true, mtimeMs, body: { kind: "chunks", manifest } };
}

/** The entries that a long manifest of the vectors has. */
export function longEntries(count: number): EntryVector[] {
  return Array.from({ length: count }, (_, at) => {
    const sample = randomSample(at, 96);
    return {
      chunk: toHex(sample.subarray(0, 32)),
      secret: toHex(sample.subarray(32, 64)),
      raw: toHex(sample.subarray(64)),
      lengthBytes: at + 1,
      domain: at % 2 === 0 ? "shared" : "private",
      epoch: 1,
    };
  });
}

function manifestOutputs(
  { entries: count, sha256 }: Inputs["manifest"],
  primitives: Primitives,
  spaceKeys: keys.SpaceKeys,
): Outputs["manifest"] {
  const entries = longEntries(count).map(entryOf);
  const sizeBytes = entries.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
  const file = { sizeBytes, sha256: ids.contentHash(sha256), entries };
  const { manifest, pieces } = closeManifest(file, (bytes) =>
    sealPiece(primitives, spaceKeys, bytes),
  );
  return {
    sha256: toHex(primitives.hashes.sha256([writeManifest(manifest)])),
    pieces: pieces.map(({ entry }) => entry.chunk),
  };
}

function accountOutputs(
  { account, space, commit, keyring: ring }: Inputs,
  primitives: Primitives,
  drawing: Primitives,
): Pick<Outputs, "certificate" | "keyring"> {
  const identitySeed = keys.signingSeed(fromHex(ring.identitySeed));
  const certificate = certify(primitives, identitySeed, {
    account: ids.accountId(account.id),
    device: ids.deviceId(commit.device),
    signingKey: primitives.signatures.publicKey(fromHex(commit.seed)),
    exchangeKey: fromHex(ring.exchangeKey),
  });
  const epoch = { epoch: space.epoch, since: ring.since, root: keys.rootKey(fromHex(space.root)) };
  const keyring: Keyring = {
    account: ids.accountId(account.id),
    version: ring.version,
    before: fromHex(ring.before),
    identitySeed,
    spaces: [
      { space: ids.spaceId(space.id), name: ring.spaceName, domain: "shared", epochs: [epoch] },
    ],
    devices: [{ certificate, revokedIn: ring.revokedIn }],
    pins: new Map([[ring.pin.name, fromHex(ring.pin.value)]]),
  };
  const accountKey = keys.accountKey(fromHex(account.key));
  const { sealed, seen } = sealKeyring(drawing, accountKey, keyring);
  return {
    certificate: toHex(writeCertificate(certificate)),
    keyring: {
      sealed: toHex(primitives.hashes.sha256([sealed])),
      hash: toHex(seen.hash),
    },
  };
}
