import { concat } from "#core/bytes.ts";
import { codeOf } from "#core/errors.ts";
import { ROUTES } from "#protocol/routes.ts";
import type { KeyService } from "#sync/ports.ts";
import { ServerError } from "./retrying.ts";
import { ServerHttp, type ServerWorld } from "./server-http.ts";

const MAX_ANSWER_BYTES = 64 * 1024;
/** A crowd passes sooner than that; what takes longer is an account's own limit. */
const LONGEST_WAIT_MS = 5_000;
const MOST_WAITS = 6;

/** The server's key service, over HTTP. */
export class HttpKeyService implements KeyService {
  readonly #server: ServerHttp;
  readonly #world: ServerWorld;

  constructor(world: ServerWorld) {
    this.#server = new ServerHttp(world);
    this.#world = world;
  }

  async evaluate(request: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    for (let waits = 0; ; waits++) {
      try {
        return await this.#ask(request, signal);
      } catch (error) {
        const waitMs = error instanceof ServerError ? error.retryAfterMs : null;
        const isCrowd = codeOf(error) === "too-many-evaluations" && waitMs !== null;
        if (!isCrowd || waitMs > LONGEST_WAIT_MS || waits === MOST_WAITS) throw error;
        await this.#world.clock.sleep(waitMs, signal);
      }
    }
  }

  async #ask(request: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    const mediaType = "application/octet-stream";
    const call = {
      method: "POST" as const,
      path: ROUTES.evaluations,
      body: { mediaType, bytes: request },
      // Whoever cannot have it now seals without.
      repeatable: false,
      maxAnswerBytes: MAX_ANSWER_BYTES,
    };
    return concat(await Array.fromAsync(this.#server.stream(call, mediaType, signal)));
  }
}
