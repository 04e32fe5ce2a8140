import { cutSizes } from "#chunking/cut.ts";
import type { Domain } from "#crypto/chunk.ts";
import { CHEAT_WAYS, CHUNK_LIES, type Cheat } from "./cheater.ts";
import type { Draw } from "./chance.ts";

/** When new keys begin, and how long after that the server asks for them. */
export type NewKeys = {
  readonly waitMs: number;
  readonly lateMs: number;
  /** Who may not read what comes then; null: everybody may. */
  readonly without: number | null;
};

/** How a story's space is sealed, and what happens to its keys. */
export type Sealing = {
  readonly domain: Domain;
  /** What sealing is made of: formats' real primitives, or such as are only quick. */
  readonly primitives: "real" | "quick";
  /** Share of questions that the key service does not answer. */
  readonly away: number;
  readonly epochs: readonly NewKeys[];
  /** Null: the server tells the truth. */
  readonly cheat: Cheat | null;
};

/** In a shared space some chunks are large enough to be shared. */
export const CHUNKS = { private: cutSizes(11), shared: cutSizes(13) } as const;
/** Inline, at its limit and beyond, and several chunks. */
export const SIZES: readonly number[] = [
  12, 12, 12, 40, 3_000, 4_096, 4_097, 9_000, 20_000, 45_000, 45_000,
];

/** So many stories have a sealed space. */
const SHARE = 0.125;
const REAL_SHARE = 1 / 16;
const PRIVATE_SHARE = 0.7;
const EPOCHS_SHARE = 0.4;
const SHUT_OUT_SHARE = 0.15;
const CHEAT_SHARE = 0.4;
const LAND_ALL_SHARE = 0.25;
const CHUNK_LIES_SHARE = 0.1;

export function drawSealing(
  draw: Draw,
  { sequential, devices }: { readonly sequential: boolean; readonly devices: number },
): Sealing | null {
  if (!draw.chance(SHARE)) return null;
  const domain = draw.chance(PRIVATE_SHARE) ? "private" : "shared";
  const primitives = draw.chance(REAL_SHARE) ? "real" : "quick";
  const cheat = !sequential && draw.chance(CHEAT_SHARE) ? drawCheat(draw, devices) : null;
  const isRenewed = !sequential && draw.chance(cheat?.way === "land-all" ? 0.7 : EPOCHS_SHARE);
  // Some have old keys and some have new ones, for as long as it takes to tell lies.
  const isEarly = cheat?.way === "land-all" && draw.chance(0.7);
  const count = isRenewed ? draw.between(1, 4) : 0;
  return {
    domain,
    primitives,
    away: draw.chance(0.5) ? 0 : draw.fraction() * 0.5,
    epochs: Array.from({ length: count }, () => ({
      waitMs: draw.below(draw.pick([50, 500, isEarly ? 2_000 : 8_000])),
      lateMs: draw.below(isEarly ? 8_000 : draw.pick([1, 400, 4_000])),
      // Of two devices one stays at least.
      without: draw.chance(SHUT_OUT_SHARE) ? devices - 1 : null,
    })),
    cheat: cheat !== null && isEarly ? { ...cheat, waitMs: draw.below(1_000) } : cheat,
  };
}

function drawCheat(draw: Draw, devices: number): Cheat {
  return {
    way: drawCheatWay(draw),
    device: draw.below(devices),
    waitMs: draw.below(draw.pick([200, 2_000, 20_000])),
    rechained: draw.chance(0.7),
  };
}

function drawCheatWay(draw: Draw): Cheat["way"] {
  // What only judging finds takes a race, which not every story has.
  if (draw.chance(LAND_ALL_SHARE)) return "land-all";
  // Of what is turned in a chunk little is turned in its contents.
  return draw.pick(draw.chance(CHUNK_LIES_SHARE) ? CHUNK_LIES : CHEAT_WAYS);
}
