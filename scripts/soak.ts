// Hundreds of kills: a server and two devices as real processes, one or two of which are killed at
// random moments and started again, while people go on working in both folders. Ends with 0 when
// nothing was lost, doubled, held or in conflict. Usage: scripts/soak.ts [rounds] [seed]

import { wreckFor } from "../test/e2e/wreck.ts";

const TELL_EVERY = 25;

const [rounds = 300, seed = 1] = process.argv.slice(2).map(Number);
const beganMs = performance.now();
const seconds = (): string => `${((performance.now() - beganMs) / 1_000).toFixed(0)} s`;
const { kills, deeds, files } = await wreckFor(rounds, seed, (round) => {
  if (round % TELL_EVERY === 0) console.log(`${round} of ${rounds} kills, ${seconds()}`);
});
const killed = Object.entries(kills).map(([what, times]) => `${what} ${times}`);
console.log(
  `seed ${seed}: ${rounds} kills (${killed.join(", ")}) in ${seconds()}, ${deeds} deeds, ` +
    `${files} files and folders at the end: all there, each once, none in conflict`,
);
