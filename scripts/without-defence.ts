// Loaded before everything else, in each process of a test: makes its files be as they would be
// without a defence. `LOCKSTEP_WITHOUT` holds the edits.

import { plant, type Edit } from "#sim/mutation.ts";

const edits = JSON.parse(process.env["LOCKSTEP_WITHOUT"] ?? "[]") as readonly Edit[];
plant({ edits });
