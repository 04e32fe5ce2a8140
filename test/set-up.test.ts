import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";

const root = path.dirname(import.meta.dirname);
const NEEDED = ["package-lock.json", "src/chunking/simd/vgear.ts", "scripts"];

/** An npm whose Node cannot be loaded, as on a system without that library. */
const npm = (platform: string): string => `#!/bin/sh
/bin/mkdir -p node_modules/node-${platform}/bin
{
  echo '#!/bin/sh'
  echo 'echo "node: error while loading shared libraries: libatomic.so.1: not there" >&2; exit 127'
} >node_modules/node-${platform}/bin/node
/bin/chmod 755 node_modules/node-${platform}/bin/node
`;

test("a system on which the fetched Node cannot be loaded is told what to install", () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "lockstep-set-up-"));
  try {
    for (const name of NEEDED) {
      fs.cpSync(path.join(root, name), path.join(folder, name), { recursive: true });
    }
    const bin = path.join(folder, "bin");
    fs.mkdirSync(bin);
    const mode = { mode: 0o755 };
    fs.writeFileSync(path.join(bin, "npm"), npm(`${process.platform}-${process.arch}`), mode);
    const setUp = path.join(folder, "scripts", "set-up.mjs");
    const ended = spawnSync(process.execPath, [setUp], { env: { PATH: bin }, encoding: "utf8" });
    assert.equal(ended.status, 1);
    assert.match(ended.stderr, /does not start .*libatomic.*apt-get install libatomic1/);
    assert.ok(!fs.existsSync(path.join(folder, "node_modules", ".set-up")));
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
});
