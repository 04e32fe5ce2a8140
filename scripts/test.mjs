// What `npm test`, `npm run check` and .ci/run run: sets up, then checks.ts with the arguments
// given.

import * as path from "node:path";
import { become, nodeFlags } from "./run.mjs";
import { root, setUpOrExit } from "./set-up.mjs";

const node = await setUpOrExit();
await become(node, [...nodeFlags, path.join(root, "scripts/checks.ts"), ...process.argv.slice(2)]);
