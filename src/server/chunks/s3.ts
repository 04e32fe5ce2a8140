import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { assert } from "#core/assert.ts";
import { concat, toHex } from "#core/bytes.ts";
import { WorldError } from "#core/errors.ts";
import type { Chance, Clock } from "#core/world.ts";
import { packExists, packMissing, packShort, type KnownPacks, type PackWriter } from "./port.ts";
import { s3Error, statusOf } from "./s3-errors.ts";

/** A pack longer than this is sent in parts of this length; shorter ones in one piece. */
const PART_BYTES = 64 * 1024 * 1024;
const SUFFIX = ".pack";
/** The object that says which store this is. */
const STORE_ID = "store.id";
const NAME = /^[0-9a-z][0-9a-z-]{1,127}$/;
/** Who wrote an object, in its metadata. */
const WRITER = "lockstep-writer";
const WRITER_BYTES = 16;
/** Uploads in parts that began longer ago are nobody's any more. */
const ABANDONED_MS = 24 * 60 * 60 * 1_000;
const CONNECT_TIMEOUT_MS = 5_000;
const SILENCE_MS = 30_000;
/** Requests of one server at a time. */
const MAX_SOCKETS = 64;
/** How often a body that breaks off is asked for: the SDK repeats only what was not answered. */
const MAX_READS = 3;

export type Bucket = {
  readonly bucket: string;
  /** Before every pack's name; empty, or ends in a slash. */
  readonly prefix: string;
  /** null: Amazon's own, of the region. */
  readonly endpoint: string | null;
  readonly region: string;
};

type World = { readonly chance: Chance; readonly clock: Clock };

/**
 * Packs as objects of an S3 bucket, which any number of servers may use at once. Credentials are
 * those that the SDK finds: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, the machine's
 * role. Every failure of the bucket's is WorldError `unavailable` or `storage-full`, retryable.
 */
export class S3Packs implements KnownPacks {
  readonly #client: S3Client;
  readonly #bucket: Bucket;
  readonly #world: World;
  readonly #unfinished = new Set<string>();

  private constructor(bucket: Bucket, world: World) {
    this.#bucket = bucket;
    this.#world = world;
    this.#client = new S3Client({
      region: bucket.region,
      ...(bucket.endpoint === null ? {} : { endpoint: bucket.endpoint, forcePathStyle: true }),
      // What is sent is signed with its SHA-256; other checksums only Amazon's own servers know.
      requestChecksumCalculation: "WHEN_REQUIRED",
      responseChecksumValidation: "WHEN_REQUIRED",
      requestHandler: {
        connectionTimeout: CONNECT_TIMEOUT_MS,
        requestTimeout: SILENCE_MS,
        throwOnRequestTimeout: true,
        httpAgent: { maxSockets: MAX_SOCKETS },
        httpsAgent: { maxSockets: MAX_SOCKETS },
      },
    });
  }

  /** Looks whether the bucket lets us in, and drops what was never finished. */
  static async open(bucket: Bucket, world: World): Promise<S3Packs> {
    const packs = new S3Packs(bucket, world);
    try {
      await packs.#dropAbandoned();
      return packs;
    } catch (error) {
      await packs[Symbol.asyncDispose]();
      throw error;
    }
  }

  async create(name: string): Promise<PackWriter> {
    if (this.#unfinished.has(name)) throw packExists(name);
    this.#unfinished.add(name);
    const object = new S3Object(
      { client: this.#client, bucket: this.#bucket.bucket },
      this.#key(name),
    );
    const writer = toHex(this.#world.chance.bytes(WRITER_BYTES));
    const done = (): void => void this.#unfinished.delete(name);
    return new S3PackWriter(object, { name, writer, done });
  }

  async read(name: string, offsetBytes: number, lengthBytes: number): Promise<Uint8Array> {
    if (lengthBytes === 0) return new Uint8Array();
    for (let reads = 1; ; reads++) {
      try {
        const bytes = await this.#readOnce(name, offsetBytes, lengthBytes);
        if (bytes.length === lengthBytes) return bytes;
        throw packShort(name, { endBytes: offsetBytes + bytes.length, offsetBytes, lengthBytes });
      } catch (error) {
        const again = error instanceof BodyBroken && reads < MAX_READS;
        if (!again) throw error;
      }
    }
  }

  async *list(): AsyncGenerator<string, void, undefined> {
    const { bucket: Bucket, prefix: Prefix } = this.#bucket;
    let ContinuationToken: string | undefined;
    do {
      const page = await this.#ask(() =>
        this.#client.send(new ListObjectsV2Command({ Bucket, Prefix, ContinuationToken })),
      );
      for (const { Key = "" } of page.Contents ?? []) {
        const name = Key.slice(Prefix.length, -SUFFIX.length);
        if (Key.endsWith(SUFFIX) && NAME.test(name)) yield name;
      }
      ContinuationToken = page.NextContinuationToken;
    } while (ContinuationToken !== undefined);
  }

  async remove(name: string): Promise<void> {
    const object = { Bucket: this.#bucket.bucket, Key: this.#key(name) };
    await this.#ask(() => this.#client.send(new DeleteObjectCommand(object)));
  }

  async storeId(drawn: string): Promise<string> {
    const object = { Bucket: this.#bucket.bucket, Key: `${this.#bucket.prefix}${STORE_ID}` };
    try {
      const put = { ...object, Body: drawn, IfNoneMatch: "*" };
      await this.#client.send(new PutObjectCommand(put));
    } catch (error) {
      // Another server was first, or the store was known before.
      if (statusOf(error) !== 412) throw s3Error(error, this.#bucket.bucket);
    }
    return this.#ask(async () => {
      const { Body } = await this.#client.send(new GetObjectCommand(object));
      assert(Body !== undefined, "an object has a body");
      return Body.transformToString();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client.destroy();
  }

  #key(name: string): string {
    assert(NAME.test(name), `not a pack name: ${name}`);
    return `${this.#bucket.prefix}${name}${SUFFIX}`;
  }

  #ask<T>(work: () => Promise<T>): Promise<T> {
    return asking(this.#bucket.bucket, work);
  }

  async #readOnce(name: string, offsetBytes: number, lengthBytes: number): Promise<Uint8Array> {
    const Range = `bytes=${offsetBytes}-${offsetBytes + lengthBytes - 1}`;
    const object = { Bucket: this.#bucket.bucket, Key: this.#key(name), Range };
    try {
      const answer = await this.#client.send(new GetObjectCommand(object));
      assert(answer.Body !== undefined, "an object has a body");
      const body = answer.Body;
      return await body.transformToByteArray().catch((cause: unknown) => {
        throw new BodyBroken(name, cause);
      });
    } catch (error) {
      if (statusOf(error) === 416) {
        throw packShort(name, { endBytes: null, offsetBytes, lengthBytes });
      }
      if (isNoSuchKey(error)) throw packMissing(name, error);
      throw s3Error(error, this.#bucket.bucket);
    }
  }

  /** Uploads in parts that a killed server left behind. */
  async #dropAbandoned(): Promise<void> {
    const { bucket: Bucket, prefix: Prefix } = this.#bucket;
    const page = await this.#ask(() =>
      this.#client.send(new ListMultipartUploadsCommand({ Bucket, Prefix })),
    );
    for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
      const ageMs = this.#world.clock.nowMs() - (Initiated?.getTime() ?? 0);
      if (ageMs < ABANDONED_MS) continue;
      const upload = { Bucket, Key, UploadId };
      await this.#ask(() => this.#client.send(new AbortMultipartUploadCommand(upload)));
    }
  }
}

class BodyBroken extends WorldError {
  constructor(name: string, cause: unknown) {
    super("unavailable", `Pack ${name} broke off while it was read.`, { retryable: true, cause });
  }
}

function isNoSuchKey(error: unknown): boolean {
  return error instanceof Error && (error.name === "NoSuchKey" || error.name === "NotFound");
}

async function asking<T>(bucket: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw s3Error(error, bucket);
  }
}

/** The calls on one object. */
class S3Object {
  readonly #client: S3Client;
  readonly #at: { readonly Bucket: string; readonly Key: string };

  constructor({ client, bucket }: { client: S3Client; bucket: string }, key: string) {
    this.#client = client;
    this.#at = { Bucket: bucket, Key: key };
  }

  /** False when there is one. */
  async put(body: Uint8Array, writer: string): Promise<boolean> {
    const object = { ...this.#at, Body: body, IfNoneMatch: "*", Metadata: { [WRITER]: writer } };
    try {
      await this.#client.send(new PutObjectCommand(object));
      return true;
    } catch (error) {
      if (statusOf(error) !== 412) throw s3Error(error, this.#at.Bucket);
      // Repeated by the SDK after an answer that got lost, it meets what it has written itself.
      return (await this.writer()) === writer;
    }
  }

  /** Who wrote it; undefined when there is none. */
  async writer(): Promise<string | undefined> {
    try {
      const { Metadata = {} } = await this.#client.send(new HeadObjectCommand(this.#at));
      return Metadata[WRITER] ?? "";
    } catch (error) {
      if (isNoSuchKey(error)) return undefined;
      throw s3Error(error, this.#at.Bucket);
    }
  }

  async begin(writer: string): Promise<string> {
    const object = { ...this.#at, Metadata: { [WRITER]: writer } };
    const { UploadId } = await this.#ask(() =>
      this.#client.send(new CreateMultipartUploadCommand(object)),
    );
    assert(UploadId !== undefined, "an upload in parts has an id");
    return UploadId;
  }

  async part(upload: Upload, body: Uint8Array): Promise<void> {
    const PartNumber = upload.parts.length + 1;
    const part = { ...this.#at, UploadId: upload.id, PartNumber, Body: body };
    const { ETag } = await this.#ask(() => this.#client.send(new UploadPartCommand(part)));
    upload.parts.push({ PartNumber, ETag });
  }

  async complete(upload: Upload): Promise<void> {
    const MultipartUpload = { Parts: upload.parts };
    const whole = { ...this.#at, UploadId: upload.id, MultipartUpload, IfNoneMatch: "*" };
    await this.#ask(() => this.#client.send(new CompleteMultipartUploadCommand(whole)));
  }

  async abort({ id: UploadId }: Upload): Promise<void> {
    const upload = { ...this.#at, UploadId };
    await this.#ask(() => this.#client.send(new AbortMultipartUploadCommand(upload)));
  }

  #ask<T>(work: () => Promise<T>): Promise<T> {
    return asking(this.#at.Bucket, work);
  }
}

type Upload = {
  readonly id: string;
  readonly parts: { readonly PartNumber: number; readonly ETag: string | undefined }[];
};

/** Keeps what is not sent yet, up to PART_BYTES. */
class S3PackWriter implements PackWriter {
  readonly #object: S3Object;
  readonly #pack: { readonly name: string; readonly writer: string; readonly done: () => void };
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #lengthBytes = 0;
  #upload: Upload | null = null;

  constructor(object: S3Object, pack: { name: string; writer: string; done: () => void }) {
    this.#object = object;
    this.#pack = pack;
  }

  async append(bytes: Uint8Array): Promise<number> {
    const offset = this.#lengthBytes;
    this.#lengthBytes += bytes.length;
    // A copy: a Buffer's own slice would be a view.
    this.#waiting.push(new Uint8Array(bytes));
    this.#waitingBytes += bytes.length;
    if (this.#waitingBytes > PART_BYTES) await this.#sendPart();
    return offset;
  }

  async finish(): Promise<void> {
    const { name, writer, done } = this.#pack;
    if (this.#upload === null) {
      if (!(await this.#object.put(concat(this.#waiting), writer))) throw packExists(name);
    } else {
      if (this.#waitingBytes > 0) await this.#sendPart();
      // Not every server looks at the condition of what comes in parts.
      if ((await this.#object.writer()) !== undefined) throw packExists(name);
      await this.#object.complete(this.#upload);
    }
    this.#waiting = [];
    done();
  }

  async discard(): Promise<void> {
    this.#waiting = [];
    this.#pack.done();
    if (this.#upload !== null) await this.#object.abort(this.#upload);
  }

  async #sendPart(): Promise<void> {
    this.#upload ??= { id: await this.#object.begin(this.#pack.writer), parts: [] };
    const part = concat(this.#waiting);
    this.#waiting = [];
    this.#waitingBytes = 0;
    await this.#object.part(this.#upload, part);
  }
}
