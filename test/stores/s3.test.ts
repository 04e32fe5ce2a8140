import { strict as assert } from "node:assert";
import { randomBytes } from "node:crypto";
import { after, before, test } from "node:test";
import {
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { S3Packs, type Bucket } from "../../src/server/chunks/s3.ts";
import { readConfig } from "../../src/server/config.ts";
import { realChance, realClock } from "../../src/server/real-world.ts";
import { CephGateway, cephMissing } from "./ceph.ts";
import { newPack, packContract, writePack } from "../contracts/packs.ts";
import { freePort } from "./started.ts";

const WORLD = { chance: realChance, clock: realClock };
const MIB = 1024 * 1024;
const skip = await cephMissing();

let gateway: CephGateway | undefined;
let given: Bucket | undefined;
let prefixes = 0;

before(async () => {
  if (skip !== false) return;
  const url = process.env["LOCKSTEP_TEST_S3"];
  if (url !== undefined) {
    const { chunks } = readConfig({ data: "nowhere", chunks: url }, {});
    assert(chunks.kind === "s3", "LOCKSTEP_TEST_S3 is an s3: address");
    given = chunks.bucket;
    return;
  }
  gateway = await CephGateway.start();
  process.env["AWS_ACCESS_KEY_ID"] = gateway.key;
  process.env["AWS_SECRET_ACCESS_KEY"] = gateway.secret;
  given = { bucket: "packs", prefix: "", endpoint: gateway.endpoint, region: "us-east-1" };
  await client(given).send(new CreateBucketCommand({ Bucket: "packs" }));
});
after(() => gateway?.[Symbol.asyncDispose]());

/** What another program has of the bucket. */
function client({ endpoint, region }: Bucket): S3Client {
  return new S3Client({
    region,
    ...(endpoint === null ? {} : { endpoint, forcePathStyle: true }),
    requestChecksumCalculation: "WHEN_REQUIRED",
  });
}

/** A part of the bucket that nobody else uses. */
function fresh(): Bucket {
  assert(given !== undefined, "there is a bucket");
  return { ...given, prefix: `${randomBytes(4).toString("hex")}-${prefixes++}/` };
}

async function open(bucket = fresh()) {
  const packs = await S3Packs.open(bucket, WORLD);
  return { bucket, packs, [Symbol.asyncDispose]: () => packs[Symbol.asyncDispose]() };
}

if (skip === false) packContract("s3", open);
else test("CH1: packs in an S3 bucket", { skip }, () => {});

test("CH1: of 20 servers that write one name exactly one does", { skip }, async () => {
  await using under = await open();
  const name = newPack();
  const servers = await Promise.all(Array.from({ length: 20 }, () => open(under.bucket)));
  const outcomes = await Promise.allSettled(
    servers.map(({ packs }, at) => writePack(packs, name, `by ${String(at).padStart(2, "0")}`)),
  );
  const won = outcomes.findIndex(({ status }) => status === "fulfilled");
  const lost = outcomes.filter((outcome) => outcome.status === "rejected");
  assert.equal(lost.length, 19);
  for (const { reason } of lost) assert.equal((reason as { code: string }).code, "pack-exists");
  const text = new TextDecoder().decode(await under.packs.read(name, 0, 5));
  assert.equal(text, `by ${String(won).padStart(2, "0")}`);
  for (const server of servers) await server[Symbol.asyncDispose]();
});

test("CH1: a pack above 64 MiB is sent in parts, and is one pack", { skip }, async () => {
  await using under = await open();
  const name = newPack();
  const pack = await under.packs.create(name);
  const pieces = Array.from({ length: 10 }, (_, at) => new Uint8Array(7 * MIB).fill(at + 1));
  for (const [at, piece] of pieces.entries()) {
    assert.equal(await pack.append(piece), at * 7 * MIB);
  }
  assert.deepEqual(await Array.fromAsync(under.packs.list()), []);
  await pack.finish();
  assert.deepEqual(await Array.fromAsync(under.packs.list()), [name]);
  for (const at of [0, 5, 9]) {
    assert.deepEqual(
      [...(await under.packs.read(name, (at + 1) * 7 * MIB - 2, 2))],
      [at + 1, at + 1],
    );
  }
  await assert.rejects(under.packs.read(name, 70 * MIB - 1, 2), { code: "pack-short" });
});

test("CH2: a pack above 64 MiB that is given up leaves no parts", { skip }, async () => {
  await using under = await open();
  const { bucket: Bucket, prefix: Prefix } = under.bucket;
  const uploads = async () => {
    const asked = new ListMultipartUploadsCommand({ Bucket, Prefix });
    return (await client(under.bucket).send(asked)).Uploads ?? [];
  };
  const pack = await under.packs.create(newPack());
  await pack.append(new Uint8Array(65 * MIB));
  assert.equal((await uploads()).length, 1);
  await pack.discard();
  assert.deepEqual(await uploads(), []);
});

test("CH2: parts that a killed server left are dropped a day later", { skip }, async () => {
  const bucket = fresh();
  const { bucket: Bucket, prefix } = bucket;
  const begin = new CreateMultipartUploadCommand({ Bucket, Key: `${prefix}left.pack` });
  const { UploadId } = await client(bucket).send(begin);
  const uploads = async () => {
    const asked = new ListMultipartUploadsCommand({ Bucket, Prefix: prefix });
    return (await client(bucket).send(asked)).Uploads?.map((upload) => upload.UploadId) ?? [];
  };
  await (await open(bucket))[Symbol.asyncDispose]();
  assert.deepEqual(await uploads(), [UploadId]);
  const tomorrow = { ...realClock, nowMs: () => realClock.nowMs() + 25 * 60 * 60 * 1_000 };
  const packs = await S3Packs.open(bucket, { ...WORLD, clock: tomorrow });
  await packs[Symbol.asyncDispose]();
  assert.deepEqual(await uploads(), []);
});

test("CH1: more packs than one page holds are listed, each once", { skip }, async () => {
  await using under = await open();
  const names = Array.from({ length: 1_100 }, newPack);
  const waiting = [...names];
  const write = async (): Promise<void> => {
    for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
      await writePack(under.packs, name, "x");
    }
  };
  await Promise.all(Array.from({ length: 20 }, write));
  const listed = await Array.fromAsync(under.packs.list());
  assert.deepEqual(listed.toSorted(), names.toSorted());
});

test("CH18: a bucket that is away, missing or closed to us is unavailable", { skip }, async () => {
  const bucket = fresh();
  const away = { code: "unavailable", retryable: true };
  const nobody = { ...bucket, endpoint: `http://127.0.0.1:${await freePort()}` };
  await assert.rejects(S3Packs.open(nobody, WORLD), away);
  const missing = { ...bucket, bucket: "no-such-bucket-here" };
  await assert.rejects(S3Packs.open(missing, WORLD), { ...away, message: /no bucket no-such/ });
  const secret = process.env["AWS_SECRET_ACCESS_KEY"];
  process.env["AWS_SECRET_ACCESS_KEY"] = "not the secret";
  try {
    await assert.rejects(S3Packs.open(bucket, WORLD), (error: Error) => {
      assert.match(error.message, /does not let this server in.*AWS_SECRET_ACCESS_KEY/);
      assert(!error.message.includes("not the secret"));
      return true;
    });
  } finally {
    process.env["AWS_SECRET_ACCESS_KEY"] = secret;
  }
});
