import {
  createServer,
  request,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";

/** What happens to one request between a device and the server. */
export type Fate = "pass" | "refuse" | "lose-reply" | "damage-reply" | "reset";

/** Stands between devices and the server: counts what is asked, and does what networks do. */
export class Proxy {
  readonly #server: Server;
  readonly #target: URL;
  /** Paths with method, in the order in which they were asked. */
  readonly asked: string[] = [];
  /** Decides on each request; passes all unless a test says otherwise. */
  fate: (asked: string) => Fate = () => "pass";

  private constructor(target: string) {
    this.#target = new URL(target);
    this.#server = createServer((incoming, outgoing) => this.#forward(incoming, outgoing));
  }

  static async before(target: string): Promise<Proxy> {
    const proxy = new Proxy(target);
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", () => resolve()));
    return proxy;
  }

  get url(): string {
    const { port } = this.#server.address() as AddressInfo;
    return `http://127.0.0.1:${port}`;
  }

  /** Cuts every connection there is. */
  cut(): void {
    this.#server.closeAllConnections();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #forward(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const asked = `${incoming.method} ${incoming.url?.split("?")[0]}`;
    this.asked.push(asked);
    const fate = this.fate(asked);
    if (fate === "refuse") {
      incoming.socket.destroy();
      return;
    }
    if (fate === "reset") {
      const detail = "The cursor is of no past of this journal.";
      const problem = { type: "about:blank", title: "Gone", status: 410, code: "reset", detail };
      incoming.resume();
      outgoing.writeHead(410, { "content-type": "application/problem+json" });
      outgoing.end(JSON.stringify(problem));
      return;
    }
    const { hostname, port } = this.#target;
    const options = { hostname, port, method: incoming.method, path: incoming.url };
    const onward = request({ ...options, headers: incoming.headers }, (answer) => {
      if (fate === "lose-reply") {
        answer.resume();
        answer.on("end", () => incoming.socket.destroy());
        return;
      }
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.on("data", (piece: Buffer) => {
        if (fate === "damage-reply")
          piece.writeUInt8(piece.readUInt8(piece.length - 1) ^ 1, piece.length - 1);
        outgoing.write(piece);
      });
      answer.on("end", () => outgoing.end());
      answer.on("error", () => outgoing.destroy());
    });
    onward.on("error", () => outgoing.destroy());
    outgoing.on("close", () => onward.destroy());
    incoming.pipe(onward);
  }
}
