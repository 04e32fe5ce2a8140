// What `npm start` runs: sets up, then `lockstep up` with the arguments given.

import * as path from "node:path";
import { become, nodeFlags } from "./run.mjs";
import { root, setUpOrExit } from "./set-up.mjs";

const node = await setUpOrExit();
await become(node, [
  ...nodeFlags,
  path.join(root, "src/cli/main.ts"),
  "up",
  ...process.argv.slice(2),
]);
