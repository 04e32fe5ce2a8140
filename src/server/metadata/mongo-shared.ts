import { spaceId } from "#core/ids.ts";
import { messageOf } from "#core/errors.ts";
import type { Clock, Log } from "#core/world.ts";
import type { MongoDatabase } from "./mongo-database.ts";
import type { AttemptLimit, News, Shared } from "./port.ts";
import { integerOf } from "./rows.ts";

/** How often those who wait look where the database tells of no changes. */
const LOOK_EVERY_MS = 1_000;

type World = { readonly clock: Clock; readonly log: Log };

/**
 * What several processes over one MongoDB tell each other: by a change stream where the database is
 * a replica set (https://www.mongodb.com/docs/manual/changeStreams/), by looking otherwise.
 */
export class MongoShared implements Shared, AsyncDisposable {
  readonly #database: MongoDatabase;
  readonly #world: World;
  readonly #listeners = new Set<(news: News) => void>();
  readonly #stopping = new AbortController();
  readonly #ended: Promise<void>;

  constructor(database: MongoDatabase, world: World) {
    this.#database = database;
    this.#world = world;
    this.#ended = this.#follow();
  }

  listen(heard: (news: News) => void): void {
    this.#listeners.add(heard);
  }

  async takeAttempt(key: string, { most, windowMs }: AttemptLimit, nowMs: number): Promise<number> {
    const database = this.#database;
    const over = { untilMs: { $lte: nowMs } };
    await database.ask(() => database.collection("attempts").deleteMany(over));
    for (;;) {
      const count = await database.one("attempts", { _id: key });
      const fresh = { used: 1, untilMs: nowMs + windowMs };
      if (count === undefined) {
        if (await database.insert("attempts", { _id: key, ...fresh })) return 0;
        continue;
      }
      const untilMs = integerOf(count, "untilMs");
      // One that ends later than any window that begins now is of a clock that was set back.
      if (untilMs <= nowMs || untilMs > nowMs + windowMs) {
        if (await database.change("attempts", { _id: key, untilMs }, { $set: fresh })) return 0;
        continue;
      }
      if (integerOf(count, "used") >= most) return untilMs - nowMs;
      const room = { _id: key, untilMs, used: { $lt: most } };
      if (await database.change("attempts", room, { $inc: { used: 1 } })) return 0;
    }
  }

  async giveBackAttempt(key: string): Promise<void> {
    const taken = { _id: key, used: { $gt: 0 } };
    await this.#database.change("attempts", taken, { $inc: { used: -1 } });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#ended;
  }

  #tell(news: News): void {
    for (const heard of this.#listeners) heard(news);
  }

  async #follow(): Promise<void> {
    const { clock, log } = this.#world;
    const { signal } = this.#stopping;
    let told = false;
    while (!signal.aborted) {
      try {
        await this.#watch();
      } catch (error) {
        if (!told) log.info("no-change-stream", { message: messageOf(error) });
        told = true;
      }
      this.#tell("missed");
      await clock.sleep(LOOK_EVERY_MS, signal).catch(() => {});
    }
  }

  /** Until the stream breaks, or there is none. */
  async #watch(): Promise<void> {
    const { signal } = this.#stopping;
    // Refused commits stand beside the entries, and collectors take their turns there.
    const not = { $exists: false };
    const entries = { "fullDocument.answer": not, "fullDocument.turn": not };
    const kinds = { $match: { operationType: { $in: ["insert", "replace"] }, ...entries } };
    const stream = this.#database.collection("journal").watch([kinds]);
    const close = (): void => void stream.close().catch(() => {});
    signal.addEventListener("abort", close, { once: true });
    try {
      for await (const change of stream) {
        if (!("documentKey" in change)) continue;
        const [space = "", sequence] = change.documentKey._id.split("/");
        this.#tell({ space: spaceId(space), sequence: Number(sequence) });
      }
    } finally {
      signal.removeEventListener("abort", close);
      await stream.close().catch(() => {});
    }
  }
}
