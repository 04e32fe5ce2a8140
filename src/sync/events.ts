import type { NodeKind } from "#core/node.ts";
import type { Direction } from "./mass.ts";

/**
 * What the engine tells of its work, for people to read: nothing is decided by it. `here` is a
 * change by this device, `elsewhere` one by another that was brought to this disk.
 */
export type EngineEvent =
  | {
      readonly kind: "created" | "changed" | "deleted";
      readonly where: Where;
      readonly node: NodeKind;
      readonly path: string;
    }
  | {
      readonly kind: "moved";
      readonly where: Where;
      readonly node: NodeKind;
      readonly from: string;
      readonly path: string;
    }
  | {
      /** A mass deletion waits for a person, or a person has answered (see `holds.ts`). */
      readonly kind: "held" | "approved" | "rejected";
      readonly id: string;
      readonly direction: Direction;
      readonly deletes: number;
    }
  | {
      /** What was agreed on is void, for the reason given: both sides are united (SPEC EN3). */
      readonly kind: "united";
      readonly message: string;
    }
  | {
      readonly kind: "problem";
      readonly path: string;
      readonly code: string;
      readonly message: string;
    };

export type Where = "here" | "elsewhere";

/** Called within the engine's work: it must neither throw nor wait. */
export type Tell = (event: EngineEvent) => void;
