import { decideHold, readHolds } from "#sync/holds.ts";
import { HOLD_LIMITS, type HoldLimits } from "#sync/mass.ts";
import type { Draw } from "./chance.ts";
import { Crashed } from "./memory-store.ts";
import type { Device } from "./device.ts";

/** Mass deletions in a story: how few nodes are many in it, and what people say to them. */
export type Holding = {
  /** By device; null: one that never asks. */
  readonly limits: readonly (HoldLimits | null)[];
  /** Share of holds that are rejected. */
  readonly rejected: number;
  /** When people look whether they are asked something, and on which device. */
  readonly answers: readonly {
    readonly id: number;
    readonly device: number;
    readonly waitMs: number;
  }[];
};

export function drawHolding(draw: Draw, devices: number, inOrder: boolean): Holding {
  const limits = {
    nodes: draw.between(1, 6),
    share: draw.pick([0.1, 0.35, 0.6]),
    emptied: draw.between(1, 4),
  };
  const isLax = draw.chance(0.2);
  return {
    limits: Array.from({ length: devices }, (_, index) => (isLax && index === 0 ? null : limits)),
    // Where one deed follows another, what somebody meant to delete is meant to be gone.
    rejected: inOrder ? 0 : draw.pick([0, 0.3, 0.5, 1]),
    answers: Array.from({ length: draw.below(10) }, (_, id) => ({
      id,
      device: draw.below(devices),
      waitMs: draw.below(4_000),
    })),
  };
}

export function limitsOf(holding: Holding | null, device: number): HoldLimits | null {
  return holding === null ? HOLD_LIMITS : (holding.limits[device] ?? null);
}

/** A person answers all that a device asks, running or not; tells what was said to each. */
export function answerHolds(
  { name, store, engine }: Device,
  rejected: number,
  draw: Draw,
): string[] {
  const said: string[] = [];
  try {
    for (const { id, direction, nodes } of readHolds(store).holds) {
      const decision = draw.chance(rejected) ? "reject" : "approve";
      decideHold({ trees: store, records: store }, id, decision);
      said.push(`${name}'s person says ${decision} to ${nodes.length} deletions ${direction}`);
    }
  } catch (error) {
    // Their question reached an engine that fell over it.
    if (!(error instanceof Crashed)) throw error;
  }
  engine?.wake();
  return said;
}
