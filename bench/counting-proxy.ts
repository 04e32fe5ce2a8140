import { createServer, connect, type AddressInfo, type Server, type Socket } from "node:net";
import { once } from "node:events";

/** Passes connections on to a server, counts their bytes, and resets them when it is told to. */
export class CountingProxy implements AsyncDisposable {
  readonly url: string;
  /** Bytes to the server and from it. */
  upBytes = 0;
  downBytes = 0;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;

  private constructor(server: Server, sockets: Set<Socket>) {
    this.#server = server;
    this.#sockets = sockets;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  static async open(to: string): Promise<CountingProxy> {
    const { hostname, port } = new URL(to);
    const sockets = new Set<Socket>();
    const server = createServer((near) => {
      const far = connect(Number(port), hostname);
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const) {
        sockets.add(one);
        one.on("error", () => other.destroy());
        one.on("close", () => sockets.delete(one));
        one.pipe(other);
      }
      near.on("data", (piece: Buffer) => (proxy.upBytes += piece.length));
      far.on("data", (piece: Buffer) => (proxy.downBytes += piece.length));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const proxy = new CountingProxy(server, sockets);
    return proxy;
  }

  /** Resets every connection that there is. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, "close");
  }
}
