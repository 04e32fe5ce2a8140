import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { systemClock } from "#platform/clock.ts";
import { Feeder } from "#sync/feeder.ts";
import type { Remote } from "#sync/ports.ts";

const LOG = { debug: quiet, info: quiet, warn: quiet, error: quiet };

function quiet(): void {}

/** A server whose answers to waiting questions never come by themselves. */
class SlowServer {
  readonly asked: number[] = [];
  head = 0;

  readonly changes: Remote["changes"] = async (cursor, waitMs, signal) => {
    this.asked.push(waitMs);
    if (waitMs > 0) {
      await new Promise((_resolve, reject) => {
        signal?.addEventListener("abort", () => reject(new Error("aborted")), { once: true });
      });
    }
    return { entries: [], cursor, head: this.head };
  };
}

suite("who asks how far the server is", () => {
  test("EN6: gets an answer to a question that was put afterwards", async () => {
    const server = new SlowServer();
    const remote = { changes: server.changes } as Remote;
    let told = Promise.withResolvers<void>();
    const stopping = new AbortController();
    const feeder = new Feeder({ remote, clock: systemClock, log: LOG }, "start", () =>
      told.resolve(),
    );
    const running = feeder.run(stopping.signal);
    await told.promise;
    assert.deepEqual([feeder.answered, feeder.head], [true, 0]);
    server.head = 5;
    told = Promise.withResolvers<void>();
    feeder.refresh();
    assert.equal(feeder.answered, false);
    await told.promise;
    assert.deepEqual([feeder.answered, feeder.head], [true, 5]);
    stopping.abort();
    await running;
    assert.deepEqual(server.asked.slice(0, 3), [0, 50_000, 0]);
  });
});
