import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { CHEAT_WAYS, HARMLESS_WAYS, type CheatWay } from "./cheater.ts";
import { play } from "./story.ts";
import { drawSwarm, type Swarm } from "./swarm.ts";

/** Stories that a way of cheating is tried in, until it was told so often. */
const MOST_STORIES = 60;
const WANTED = 3;

/** Stories of cheated devices, whatever way was drawn for them. */
function* cheated(): Generator<Swarm> {
  for (let seed = 1; ; seed++) {
    const swarm = drawSwarm(seed);
    if (swarm.sealed?.cheat && swarm.server === "memory") yield swarm;
  }
}

function inThisWay(swarm: Swarm, way: CheatWay): Swarm {
  const { sealed } = swarm;
  assert(sealed?.cheat);
  return { ...swarm, sealed: { ...sealed, cheat: { ...sealed.cheat, way, rechained: true } } };
}

suite("a server that cheats a device of a sealed space", () => {
  for (const way of CHEAT_WAYS) {
    const what = HARMLESS_WAYS.has(way) ? "does no harm" : "stops the device";
    test(`SL12, SL13, SL9: ${way} ${what}, and nothing is lost or made up`, async () => {
      let found = 0;
      for (const swarm of cheated().take(MOST_STORIES)) {
        const { wrong, happened } = await play(inThisWay(swarm, way));
        assert.deepEqual(wrong, [], `seed ${swarm.seed}`);
        const end = happened.find((each) => each.startsWith(`cheat: ${way}: `)) ?? "";
        const isTold = end !== "" && !end.endsWith("told no lie");
        if (!isTold) continue;
        assert.equal(end.endsWith("went on"), HARMLESS_WAYS.has(way), `seed ${swarm.seed}: ${end}`);
        if (++found === WANTED) return;
      }
      assert.fail(`${way} was not found out in ${MOST_STORIES} stories`);
    });
  }
});
