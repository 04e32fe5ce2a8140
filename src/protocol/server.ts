import { z } from "zod";
import { EvaluationKey } from "./evaluations.ts";

/** What a server says of itself to anybody. */
export const ServerAnswer = z.object({
  name: z.literal("lockstep"),
  version: z.string(),
  /** The key service's public keys; none where there is no such service now. */
  evaluationKeys: z.array(EvaluationKey),
});
