import assert from "node:assert/strict";
import { test } from "node:test";
import { systemChance } from "./chance.ts";
import { nodeIds } from "./node-ids.ts";

test("node ids that are drawn one after another lie side by side, in no order among neighbours", () => {
  const fresh = nodeIds(systemChance);
  const ids = Array.from({ length: 10_000 }, fresh);
  assert.equal(new Set(ids).size, ids.length);
  const places = new Map(ids.toSorted().map((id, place) => [id, place]));
  const strayed = ids.map((id, drawn) => Math.abs(places.get(id)! - drawn));
  assert.ok(Math.max(...strayed) < 256, "none is far from where it was drawn");
  assert.ok(strayed.filter((far) => far > 16).length > 5_000, "neighbours tell no order");
  const others = Array.from({ length: 1_000 }, nodeIds(systemChance));
  assert.ok(
    others.every((id) => !id.startsWith(ids[0]!.slice(0, 16))),
    "another run's lie elsewhere",
  );
});

test("two equal draws in a row are not two equal node ids", () => {
  let draws = 0;
  const chance = { bytes: (length: number) => new Uint8Array(length).fill(draws++ >> 2) };
  const ids = Array.from({ length: 50 }, nodeIds(chance));
  assert.equal(new Set(ids).size, 50);
});
