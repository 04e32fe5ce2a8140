// What stands between a machine that joins and the server, and carries what the two machines say:
// it may read, keep and change all of it.

import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A message as it came from one side, by its number, and as it is to go on to the other. */
type Tamper = (number: number, message: string) => string | Promise<string>;

const PASSED = ["content-type", "authorization"] as const;

export class JoinProxy implements AsyncDisposable {
  /** All messages that went by, by number. */
  readonly seen = new Map<number, string>();
  readonly #target: string;
  readonly #tamper: Tamper;
  readonly #server: Server;

  private constructor(target: string, tamper: Tamper) {
    this.#target = target;
    this.#tamper = tamper;
    this.#server = createServer((request, response) => {
      this.#pass(request, response).catch(() => response.destroy());
    });
  }

  static async open(target: string, tamper: Tamper = (_, message) => message): Promise<JoinProxy> {
    const proxy = new JoinProxy(target, tamper);
    const { promise, resolve } = Promise.withResolvers<void>();
    proxy.#server.listen(0, "127.0.0.1", resolve);
    await promise;
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async #pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const { method = "", url = "" } = request;
    let body = Buffer.concat(parts).toString();
    const json = body === "" ? {} : JSON.parse(body);
    if (url === "/v1/join") {
      body = JSON.stringify({ ...json, request: await this.#carry(1, json.request) });
    }
    const headers = PASSED.flatMap((name): [string, string][] => {
      const value = request.headers[name];
      return value === undefined ? [] : [[name, value]];
    });
    const init = { method, headers, ...(method === "GET" ? {} : { body }) };
    const answer = await fetch(`${this.#target}${url}`, init);
    let text = await answer.text();
    if (url === "/v1/join/next" && answer.ok) {
      const { message } = JSON.parse(text);
      if (message !== null)
        text = JSON.stringify({ message: await this.#carry(json.number, message) });
    }
    const type = answer.headers.get("content-type");
    response.writeHead(answer.status, type === null ? {} : { "content-type": type });
    response.end(answer.status === 204 ? undefined : text);
  }

  async #carry(number: number, message: string): Promise<string> {
    assert.equal(typeof message, "string");
    this.seen.set(number, message);
    return this.#tamper(number, message);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
