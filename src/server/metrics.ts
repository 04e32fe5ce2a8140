import { hash, timingSafeEqual } from "node:crypto";
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";

/** Seconds; the longest are long polls. */
const BUCKETS = [0.005, 0.02, 0.1, 0.5, 2, 10, 60];

export type Request = {
  readonly method: string;
  /** Its pattern, never a path. */
  readonly route: string;
  readonly status: number;
  readonly ms: number;
  readonly bytes: number;
};

/**
 * What a server counts of itself, for Prometheus: of requests by their pattern, never by account.
 * Nothing tells whether bytes were stored before: that is what others have.
 */
export class Metrics {
  readonly #registry = new Registry();
  readonly #tokenHash: Buffer;
  readonly #seconds: Histogram<"method" | "route" | "status">;
  readonly #bytes: Counter<"route">;

  /** `token` is what Prometheus shows; those who have another see nothing. */
  constructor(token: string) {
    this.#tokenHash = hash("sha256", token, "buffer");
    const registers = [this.#registry];
    this.#seconds = new Histogram({
      name: "lockstep_request_seconds",
      help: "From a request's first byte to the last of its answer; long polls wait on purpose",
      labelNames: ["method", "route", "status"],
      buckets: BUCKETS,
      registers,
    });
    this.#bytes = new Counter({
      name: "lockstep_answer_bytes_total",
      help: "Bytes of answers' bodies",
      labelNames: ["route"],
      registers,
    });
  }

  get mediaType(): string {
    return this.#registry.contentType;
  }

  /** Adds the process: memory, processor time, the event loop's delay. */
  watchProcess(): void {
    collectDefaultMetrics({ register: this.#registry });
  }

  /** Adds a number that is read when somebody asks. */
  watch(name: string, help: string, read: () => number): void {
    const registers = [this.#registry];
    // The library binds its own `this`.
    new Gauge({
      name,
      help,
      registers,
      collect: function () {
        this.set(read());
      },
    });
  }

  /** Adds what the collector does. */
  watchCollecting(state: { readonly endedSeconds: number; readonly freedBytes: number }): void {
    const ended = "When the collector last came to its end, in seconds since 1970";
    this.watch("lockstep_collected_seconds", ended, () => state.endedSeconds);
    const freed = "Bytes of packs that the collector has removed since this server began";
    this.watch("lockstep_collected_bytes", freed, () => state.freedBytes);
  }

  /** True for `Authorization: Bearer` with the token. */
  opens(authorization: string | undefined): boolean {
    const [scheme, token = ""] = (authorization ?? "").split(" ");
    const isBearer = scheme?.toLowerCase() === "bearer";
    return isBearer && timingSafeEqual(hash("sha256", token, "buffer"), this.#tokenHash);
  }

  count({ method, route, status, ms, bytes }: Request): void {
    this.#seconds.observe({ method, route, status }, ms / 1_000);
    this.#bytes.inc({ route }, bytes);
  }

  /** In Prometheus' text format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }
}
