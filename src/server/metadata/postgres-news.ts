import { Client, type ClientConfig } from "pg";
import { spaceId } from "#core/ids.ts";
import { messageOf } from "#core/errors.ts";
import type { Clock, Log } from "#core/world.ts";
import type { News } from "./port.ts";
import { NEWS_CHANNEL } from "./postgres-database.ts";

/** A connection that says nothing this long is asked whether it is still there. */
const PING_EVERY_MS = 15_000;
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 5_000;

type World = { readonly clock: Clock; readonly log: Log };

/**
 * Hears which journals grow, over a connection of its own that is made again whenever it breaks
 * (https://www.postgresql.org/docs/current/sql-notify.html).
 */
export class PostgresNews implements AsyncDisposable {
  readonly #config: ClientConfig;
  readonly #world: World;
  readonly #stopping = new AbortController();
  readonly #listeners = new Set<(news: News) => void>();
  #ended: Promise<void> = Promise.resolve();

  private constructor(config: ClientConfig, world: World) {
    this.#config = config;
    this.#world = world;
  }

  /** Resolves when it hears. Throws what the driver does when there is no connection. */
  static async open(config: ClientConfig, world: World): Promise<PostgresNews> {
    const news = new PostgresNews(config, world);
    const client = await news.#connect();
    news.#ended = news.#keepUp(client);
    return news;
  }

  listen(heard: (news: News) => void): void {
    this.#listeners.add(heard);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#ended;
  }

  #tell(news: News): void {
    for (const heard of this.#listeners) heard(news);
  }

  async #connect(): Promise<Client> {
    const client = new Client(this.#config);
    // What broke is found out by whoever asks next.
    client.on("error", () => {});
    client.on("notification", ({ payload = "" }) => {
      const [space = "", sequence] = payload.split(" ");
      this.#tell({ space: spaceId(space), sequence: Number(sequence) });
    });
    try {
      await client.connect();
      await client.query(`LISTEN ${NEWS_CHANNEL}`);
      return client;
    } catch (error) {
      await client.end().catch(() => {});
      throw error;
    }
  }

  /** Until it is told to stop: waits for the connection to break, and makes another one. */
  async #keepUp(first: Client): Promise<void> {
    const { log } = this.#world;
    let client: Client | null = first;
    let pauseMs = FIRST_PAUSE_MS;
    while (!this.#stopping.signal.aborted) {
      if (client !== null) {
        await this.#untilBroken(client);
        await client.end().catch(() => {});
        client = null;
        if (this.#stopping.signal.aborted) return;
        log.warn("news-lost");
        pauseMs = FIRST_PAUSE_MS;
      }
      await this.#sleep(pauseMs);
      if (this.#stopping.signal.aborted) return;
      pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
      try {
        client = await this.#connect();
        log.info("news-again");
        this.#tell("missed");
      } catch (error) {
        log.warn("news-lost", { message: messageOf(error) });
      }
    }
  }

  async #untilBroken(client: Client): Promise<void> {
    const gone = new AbortController();
    const leave = (): void => gone.abort();
    client.once("end", leave);
    const over = AbortSignal.any([gone.signal, this.#stopping.signal]);
    try {
      while (!over.aborted) {
        await this.#sleep(PING_EVERY_MS, over);
        if (!over.aborted) await client.query("SELECT 1");
      }
    } catch {
      // It does not answer.
    } finally {
      client.off("end", leave);
    }
  }

  async #sleep(delayMs: number, signal: AbortSignal = this.#stopping.signal): Promise<void> {
    await this.#world.clock.sleep(delayMs, signal).catch(() => {});
  }
}
