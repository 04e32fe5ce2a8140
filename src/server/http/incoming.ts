import type { IncomingMessage } from "node:http";

/** A request's body as it comes. */
export interface BodySource {
  /** Null at its end, or once it was left; throws when the connection breaks. */
  read(): Promise<Uint8Array | null>;
  /** Reads no more of it; a `read` that waits ends. */
  leave(): void;
}

const EVENTS = ["readable", "end", "error", "close"] as const;

/** Read off Node's own stream: the web's in front of it copies each piece once more, or twice. */
export class SocketBody implements BodySource {
  readonly #incoming: IncomingMessage;
  readonly #tell = (): void => this.#wake();
  #wake: () => void = () => undefined;
  #isLeft = false;

  constructor(incoming: IncomingMessage) {
    this.#incoming = incoming;
    for (const event of EVENTS) incoming.on(event, this.#tell);
  }

  async read(): Promise<Uint8Array | null> {
    const incoming = this.#incoming;
    for (;;) {
      if (this.#isLeft) return null;
      // No encoding was set: what is read are bytes.
      const piece = incoming.read() as Buffer | null;
      if (piece !== null) return new Uint8Array(piece.buffer, piece.byteOffset, piece.length);
      if (incoming.readableEnded) return null;
      if (incoming.destroyed) throw incoming.errored ?? new Error("the connection was closed");
      const something = Promise.withResolvers<void>();
      this.#wake = something.resolve;
      await something.promise;
    }
  }

  leave(): void {
    this.#isLeft = true;
    for (const event of EVENTS) this.#incoming.off(event, this.#tell);
    this.#wake();
  }
}

/** Where the app is called without a socket. */
export class WebBody implements BodySource {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;

  constructor(body: ReadableStream<Uint8Array> | null) {
    this.#reader = body?.getReader();
  }

  async read(): Promise<Uint8Array | null> {
    return (await this.#reader?.read())?.value ?? null;
  }

  leave(): void {
    this.#reader?.cancel().catch(() => undefined);
  }
}
