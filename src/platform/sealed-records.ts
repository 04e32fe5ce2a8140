import type { StatementSync } from "node:sqlite";
import { fromHex, toHex } from "#core/bytes.ts";
import { chunkId, type ChunkId, type CommitId, type ContentHash } from "#core/ids.ts";
import type { SealedEntry } from "#crypto/chunk.ts";
import { chunkSecret } from "#crypto/keys.ts";
import { readEntries, writeEntries } from "#crypto/manifest.ts";
import { MAX_BASE_AGE } from "#protocol/limits.ts";
import type { SealedRecords } from "#sync/ports.ts";
import type { DeviceFile } from "./device-schema.ts";

const DOMAINS = ["shared", "private"] as const;

const NO_SIGNATURE = new Uint8Array(0);

/** Chain values are forgotten so many at a time. */
const CHAINS_AT_ONCE = 256;

type SealedRow = [Uint8Array, Uint8Array, number, number, number, Uint8Array | null];

/** What a device of a sealed space remembers, in the device's database. */
export class SqliteSealedRecords implements SealedRecords {
  readonly #file: DeviceFile;
  readonly #sealed: StatementSync;
  readonly #putSealed: StatementSync;
  readonly #signature: StatementSync;
  readonly #putSignature: StatementSync;
  readonly #awaitSignature: StatementSync;
  readonly #unsigned: StatementSync;
  readonly #inline: StatementSync;
  readonly #putInline: StatementSync;
  readonly #root: StatementSync;
  readonly #putRoot: StatementSync;
  readonly #chain: StatementSync;
  readonly #sequence: StatementSync;
  readonly #last: StatementSync;
  readonly #putChain: StatementSync;
  readonly #forgetChains: StatementSync;
  readonly #forgetAfter: StatementSync;

  constructor(file: DeviceFile) {
    this.#file = file;
    this.#sealed = file.prepare(
      "SELECT stored, secret, length, domain, epoch, bases FROM sealed_chunks WHERE raw = ?",
    );
    this.#putSealed = file.prepare(
      "INSERT OR REPLACE INTO sealed_chunks (raw, stored, secret, length, domain, epoch, bases) " +
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
    );
    this.#signature = file.prepare("SELECT signature FROM signatures WHERE raw = ?");
    this.#putSignature = file.prepare(
      "INSERT OR REPLACE INTO signatures (raw, signature) VALUES (?, ?)",
    );
    this.#awaitSignature = file.prepare("INSERT OR IGNORE INTO signatures (raw) VALUES (?)");
    this.#unsigned = file.prepare("SELECT raw FROM signatures WHERE signature IS NULL LIMIT ?");
    this.#inline = file.prepare("SELECT bytes FROM inline_contents WHERE raw = ?");
    this.#putInline = file.prepare(
      "INSERT OR REPLACE INTO inline_contents (raw, bytes) VALUES (?, ?)",
    );
    this.#root = file.prepare("SELECT root FROM manifest_roots WHERE content = ?");
    this.#putRoot = file.prepare(
      "INSERT OR REPLACE INTO manifest_roots (content, root) VALUES (?, ?)",
    );
    this.#chain = file.prepare("SELECT chain FROM chains WHERE sequence = ?");
    this.#sequence = file.prepare("SELECT sequence FROM chains WHERE commit_id = ?");
    this.#last = file.prepare("SELECT max(sequence) FROM chains WHERE sequence >= ?");
    this.#putChain = file.prepare(
      "INSERT OR REPLACE INTO chains (sequence, chain, commit_id) VALUES (?, ?, ?)",
    );
    this.#forgetChains = file.prepare("DELETE FROM chains WHERE sequence < ?");
    this.#forgetAfter = file.prepare("DELETE FROM chains WHERE sequence > ?");
  }

  sealed(raw: ChunkId): SealedEntry | undefined {
    const row = this.#one<SealedRow>(this.#sealed, fromHex(raw));
    if (row === undefined) return undefined;
    const [stored, secret, lengthBytes, domain, epoch, bases] = row;
    const entry: SealedEntry = {
      chunk: chunkId(toHex(stored)),
      secret: chunkSecret(secret),
      raw,
      lengthBytes,
      domain: DOMAINS[domain] ?? "private",
      epoch,
    };
    return bases === null ? entry : { ...entry, bases: readEntries(bases) };
  }

  putSealed({ chunk, secret, raw, lengthBytes, domain, epoch, bases }: SealedEntry): void {
    const key = fromHex(raw);
    const facts = [lengthBytes, DOMAINS.indexOf(domain), epoch] as const;
    const delta = bases === undefined ? null : writeEntries(bases);
    this.#run(this.#putSealed, key, fromHex(chunk), secret, ...facts, delta);
    this.#run(this.#awaitSignature, key);
  }

  signature(raw: ChunkId): Uint8Array | undefined {
    const signature = this.#one<[Uint8Array | null]>(this.#signature, fromHex(raw))?.[0];
    return signature === null || signature?.length === 0 ? undefined : signature;
  }

  putSignature(raw: ChunkId, signature: Uint8Array | null): void {
    this.#run(this.#putSignature, fromHex(raw), signature ?? NO_SIGNATURE);
  }

  unsigned(most: number): ChunkId[] {
    const rows = this.#file.guard(() => this.#unsigned.all(most));
    return (rows as unknown as [Uint8Array][]).map(([raw]) => chunkId(toHex(raw)));
  }

  inline(raw: ChunkId): Uint8Array | undefined {
    return this.#one<[Uint8Array]>(this.#inline, fromHex(raw))?.[0];
  }

  putInline(raw: ChunkId, bytes: Uint8Array): void {
    this.#run(this.#putInline, fromHex(raw), bytes);
  }

  root(content: ContentHash): Uint8Array | undefined {
    return this.#one<[Uint8Array]>(this.#root, fromHex(content))?.[0];
  }

  putRoot(content: ContentHash, root: Uint8Array): void {
    this.#run(this.#putRoot, fromHex(content), root);
  }

  chainAt(sequence: number): string | undefined {
    const row = this.#one<[Uint8Array]>(this.#chain, sequence);
    return row && toHex(row[0]);
  }

  sequenceOf(commit: CommitId): number | undefined {
    return this.#one<[number]>(this.#sequence, fromHex(commit))?.[0];
  }

  lastSequence(): number {
    return this.#one<[number | null]>(this.#last, 0)?.[0] ?? 0;
  }

  putEntry(sequence: number, entry: { readonly chain: string; readonly commitId: CommitId }): void {
    this.#run(this.#putChain, sequence, fromHex(entry.chain), fromHex(entry.commitId));
    if (sequence % CHAINS_AT_ONCE !== 0) return;
    this.#run(this.#forgetChains, sequence - MAX_BASE_AGE - CHAINS_AT_ONCE);
  }

  forgetEntriesAfter(sequence: number): void {
    this.#run(this.#forgetAfter, sequence);
  }

  #one<Row>(statement: StatementSync, key: Uint8Array | number): Row | undefined {
    return this.#file.guard(() => statement.get(key)) as unknown as Row | undefined;
  }

  #run(statement: StatementSync, ...values: (Uint8Array | number | null)[]): void {
    this.#file.guard(() => statement.run(...values));
  }
}
