import { open, readFile, rename, type FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import { WorldError } from "#core/errors.ts";
import { accountId, type AccountId } from "#core/ids.ts";

/** What is left to an account when all that was set aside for it is counted as spent. */
export type Balance = {
  readonly account: AccountId;
  /** Until when the day's evaluations are these, by the machine's clock. */
  readonly untilMs: number;
  readonly free: number;
  readonly credits: number;
};

const LINE = /^([0-9a-f]{32}) ([0-9]{1,15}) ([0-9]{1,5}) ([0-9]{1,8})$/;
/** Superseded lines that are kept before the file is written anew. */
const MAX_STALE_LINES = 50_000;

type Waiting = {
  readonly line: string;
  readonly done: () => void;
  readonly failed: (cause: unknown) => void;
};

/**
 * Remembers what accounts have left over the end of the process: a line `ACCOUNT UNTIL FREE
 * CREDITS` for each time that something was set aside, the last one of an account counts. The file
 * lies beside the key file and belongs to its owner alone.
 */
export class SpentFile implements AsyncDisposable {
  /** Of each account as it stood when the file was opened. */
  readonly known: ReadonlyMap<AccountId, Balance>;
  readonly #path: string;
  readonly #latest: Map<AccountId, Balance>;
  #file: FileHandle;
  #lines: number;
  #waiting: Waiting[] = [];
  #writing: Promise<void> = Promise.resolve();

  private constructor(path: string, file: FileHandle, known: Map<AccountId, Balance>) {
    this.#path = path;
    this.#file = file;
    this.#latest = known;
    this.#lines = known.size;
    this.known = new Map(known);
  }

  /** Throws WorldError `bad-spent-file` for one that holds anything else. */
  static async open(path: string, nowMs: number): Promise<SpentFile> {
    const known = await read(path);
    for (const [account, { untilMs, credits }] of known) {
      if (untilMs <= nowMs && credits === 0) known.delete(account);
    }
    return new SpentFile(path, await writeAnew(path, known), known);
  }

  /** Resolves when the balance is durable: only then may be spent what it does not show. */
  record(balance: Balance): Promise<void> {
    const { account, untilMs, free, credits } = balance;
    this.#latest.delete(account);
    this.#latest.set(account, balance);
    const line = `${account} ${untilMs} ${free} ${credits}\n`;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.push({ line, done: resolve, failed: reject });
    this.#writing = this.#writing.then(() => this.#write());
    return promise;
  }

  /** An account of which nothing has to be remembered any more. */
  forget(account: AccountId): void {
    this.#latest.delete(account);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing;
    await this.#file.close();
  }

  /** One write for all that wait. */
  async #write(): Promise<void> {
    const waiting = this.#waiting;
    if (waiting.length === 0) return;
    this.#waiting = [];
    try {
      if (this.#lines > this.#latest.size + MAX_STALE_LINES) await this.#compact();
      else {
        await this.#file.appendFile(waiting.map(({ line }) => line).join(""));
        await this.#file.datasync();
        this.#lines += waiting.length;
      }
      for (const { done } of waiting) done();
    } catch (error) {
      // Half a line may stand there now, and nothing goes behind that.
      this.#lines = Infinity;
      for (const { failed } of waiting) failed(error);
    }
  }

  async #compact(): Promise<void> {
    const file = await writeAnew(this.#path, this.#latest);
    await this.#file.close().catch(() => undefined);
    this.#file = file;
    this.#lines = this.#latest.size;
  }
}

async function read(path: string): Promise<Map<AccountId, Balance>> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return "";
    throw error;
  });
  // What stands behind the last line break was cut off by a crash: nobody was answered for it.
  const lines = text.split("\n").slice(0, -1);
  const balances = new Map<AccountId, Balance>();
  for (const line of lines) {
    const [, account, untilMs, free, credits] = LINE.exec(line) ?? [];
    if (account === undefined) {
      const message = `The file ${path} is damaged: remove it, and all accounts begin a new day.`;
      throw new WorldError("bad-spent-file", message);
    }
    const numbers = { untilMs: Number(untilMs), free: Number(free), credits: Number(credits) };
    balances.set(accountId(account), { account: accountId(account), ...numbers });
  }
  return balances;
}

/** Replaces the file as a whole, and leaves it open for what is appended. */
async function writeAnew(
  path: string,
  balances: ReadonlyMap<AccountId, Balance>,
): Promise<FileHandle> {
  const lines = [...balances.values()].map(
    ({ account, untilMs, free, credits }) => `${account} ${untilMs} ${free} ${credits}\n`,
  );
  const fresh = `${path}.new`;
  const file = await open(fresh, "w", 0o600);
  try {
    await file.writeFile(lines.join(""));
    await file.sync();
    await rename(fresh, path);
    await using folder = await open(dirname(path));
    await folder.sync();
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}
