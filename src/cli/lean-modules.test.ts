import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";

/** What a program of its own prints. */
function printedBy(script: string): string {
  const args = ["--disable-warning=ExperimentalWarning", "--input-type=module", "--eval", script];
  const { stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: import.meta.dirname,
    encoding: "utf8",
  });
  assert.equal(stderr, "");
  return stdout.trim();
}

test("zod is loaded without its languages, and says in English what is wrong [EN7]", () => {
  const printed = printedBy(`
    import { loadLean } from "#cli/lean-modules.ts";
    loadLean();
    const { z } = await import("zod");
    console.log(Object.keys(z.locales).length, z.string().safeParse(1).error.issues[0].message);
  `);
  assert.equal(printed, "0 Invalid input: expected string, received number");
});

test("a device that asks its server has not loaded the web's own client [EN7]", () => {
  const printed = printedBy(`
    import { systemLine } from "#platform/http-line.ts";
    import { createServer } from "node:net";
    const server = createServer((socket) => {
      socket.end("HTTP/1.1 204 Fine\\r\\nconnection: close\\r\\n\\r\\n");
    }).listen(0, "127.0.0.1", async () => {
      const { signal } = new AbortController();
      const asked = { method: "GET", headers: {}, pieces: [], lengthBytes: 0, signal };
      const answer = await systemLine("http://127.0.0.1:" + server.address().port, asked);
      const loaded = process.moduleLoadList.filter((name) => name.includes("undici"));
      console.log(answer.status, loaded.join(" "));
      answer.leave();
      server.close();
    });
  `);
  assert.equal(printed, "204");
});
