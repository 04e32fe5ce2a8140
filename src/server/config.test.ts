import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { describe, test } from "node:test";
import { CONFIG_FILE, DEFAULT_PORT, readConfig } from "./config.ts";

describe("the server's settings", () => {
  test("WI18: a flag goes before the environment, that before the file", async () => {
    const data = await mkdtemp(join(tmpdir(), "lockstep-config-"));
    try {
      const file = { port: 1, host: "file", log: "warn" };
      await writeFile(join(data, CONFIG_FILE), JSON.stringify(file));
      const environment = { LOCKSTEP_DATA: data, LOCKSTEP_PORT: "2", LOCKSTEP_HOST: "environment" };
      const config = readConfig({ port: "3" }, environment);
      assert.equal(config.port, 3);
      assert.equal(config.host, "environment");
      assert.equal(config.logLevel, "warn");
      assert.deepEqual(config.metadata, { kind: "sqlite", path: join(data, "metadata.sqlite") });
      assert.deepEqual(config.chunks, { kind: "file", path: join(data, "packs") });
    } finally {
      await rm(data, { recursive: true });
    }
  });

  test("WI18: without any, only the data folder must be said", () => {
    const config = readConfig({ data: "somewhere" }, {});
    assert.equal(config.data, resolve("somewhere"));
    assert.equal(config.port, DEFAULT_PORT);
    assert.equal(config.host, "127.0.0.1");
  });

  test("WI19: everything that is wrong is told at once", () => {
    const flags = { port: "70000", host: "a b", metadata: "oracle://x", chunks: "tape:" };
    const environment = { LOCKSTEP_LOG: "loud" };
    assert.throws(
      () => readConfig(flags, environment),
      (error: Error) => {
        for (const part of ["data is not set", "port is 70000", "host is a b", "oracle://x"]) {
          assert.ok(error.message.includes(part), part);
        }
        assert.ok(error.message.includes("tape:") && error.message.includes("loud"));
        return true;
      },
    );
  });
});
