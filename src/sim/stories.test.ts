import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { play } from "./story.ts";
import { drawSwarm, readSwarm } from "./swarm.ts";

/**
 * Stories that went wrong once, and how: a line each, with the options that
 * `npm run sim -- SEED` prints, so that what a seed draws later changes none of them.
 */
const kept = fs.readFileSync(path.join(import.meta.dirname, "kept-stories.jsonl"), "utf8");

for (const line of kept.trimEnd().split("\n")) {
  const { what, swarm } = JSON.parse(line) as { what: string; swarm: object };
  const story = readSwarm(swarm);
  test(`story ${story.seed}: ${what}`, async () => {
    const { wrong } = await play(story, null);
    assert.deepEqual(wrong, []);
  });
}

test("a story is the same on the server's schema and on its twin in memory", async () => {
  for (const seed of [1, 2, 3, 4, 5, 6]) {
    const swarm = drawSwarm(seed);
    const real = await play({ ...swarm, server: "sqlite" }, null);
    const dreamed = await play({ ...swarm, server: "memory" }, null);
    assert.deepEqual(real, dreamed);
  }
});

test("a story through the server's HTTP layer goes well, and the same way twice", async () => {
  for (const seed of [1, 2, 3]) {
    const swarm = { ...drawSwarm(seed), server: "http" } as const;
    const [once, again] = [await play(swarm, null), await play(swarm, null)];
    assert.deepEqual(once.wrong, []);
    assert.deepEqual(once, again);
  }
});

test("one seed is one story", async () => {
  const [once, again] = [await play(drawSwarm(5), null), await play(drawSwarm(5), null)];
  assert.deepEqual(once, again);
});
