import { mutant, type Mutant } from "./mutation.ts";

const COLLECTOR = "server/collector.ts";
const PACKS = "server/pack-collector.ts";
const MEMORY = "sim/memory-collection.ts";
const SQLITE_LINKS = "server/metadata/sqlite-links.ts";
const RETENTION = "server/retention.ts";

/** What a collector takes that somebody needs, or leaves that nobody does. */
export const COLLECT_MUTANTS: readonly Mutant[] = [
  mutant(
    "touched-unasked",
    "What an entry named after the collector had looked is condemned all the same (GC3).",
    [MEMORY, " || link.touched > sequence) continue;", ") continue;"],
    [SQLITE_LINKS, "lease_ms IS NULL AND touched <= ?`", "lease_ms IS NULL AND ? >= 0`"],
  ),
  mutant(
    "swept-without-condition",
    "A claim whose lease was past when it was listed ends, also when it was linked since (GC3).",
    [
      COLLECTOR,
      "      swept = await links.sweep(space, this.#nowMs, ROWS_AT_ONCE);",
      `      const due: ChunkId[] = [];
      for await (const page of this.#links(space)) {
        for (const { chunk, leaseMs } of page) {
          if (leaseMs !== null && leaseMs <= this.#nowMs) due.push(chunk);
        }
      }
      const until = { sequence: Number.MAX_SAFE_INTEGER, leaseMs: 0 };
      await links.condemn(space, due, until);
      swept = await links.sweep(space, this.#nowMs, ROWS_AT_ONCE);`,
    ],
  ),
  mutant("unheld-unasked", "A chunk that was staged again meanwhile is removed (GC4).", [
    MEMORY,
    "      if (place === undefined || this.#isHeld(id)) continue;",
    "      if (place === undefined) continue;",
  ]),
  mutant("kept-unmarked", "Chunks of versions before the present one are not marked (GC3).", [
    COLLECTOR,
    "        else for (const chunk of chunks) marks.add(chunk);",
    `        else if (contents.at(-1)?.sequence === sequence) {
          for (const chunk of chunks) marks.add(chunk);
        }`,
  ]),
  mutant(
    "living-forgotten",
    "What a living file holds is forgotten when it is old (GC1).",
    [RETENTION, "    if (isLast && deletedMs === null) continue;\n", ""],
    [MEMORY, "      if (isLast && deletedMs === null) continue;\n", ""],
  ),
  mutant("merged-before-durable", "Chunks lie in a pack that is not finished (GC4).", [
    PACKS,
    `    await writer.finish();
    await this.#world.collection.packs.move({ name, sizeBytes }, moved);`,
    `    await this.#world.collection.packs.move({ name, sizeBytes }, moved);
    await writer.finish();`,
  ]),
  mutant("names-used-again", "A merged pack has the name of one that is gone (GC4, CH1).", [
    PACKS,
    "    const name = toHex(this.#world.chance.bytes(16));",
    `    const name = "merged".repeat(4);
    if (this.#world.chance.bytes(1)[0] === 256) toHex(new Uint8Array());`,
  ]),
  mutant("doomed-unasked", "A pack goes while chunks lie in it (GC4).", [
    PACKS,
    "        if (chunks === 0) continue;\n",
    `        if (chunks === 0) continue;
        if (liveBytes < sizeBytes) await this.#world.packs.remove(pack.name);
`,
  ]),
  mutant("never-swept", "Condemned chunks are held for ever (GC3).", [
    COLLECTOR,
    "      swept = await links.sweep(space, this.#nowMs, ROWS_AT_ONCE);",
    "      swept = 0;",
  ]),
];
