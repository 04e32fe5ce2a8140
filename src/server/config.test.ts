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
      assert.deepEqual(config.database, { kind: "sqlite", path: join(data, "metadata.sqlite") });
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

  test("LM1, LM3: a quota is a size, a rate requests a second, and either can be off", () => {
    const at = (quota: string, rate: string) => {
      const { quotaBytes, requestsPerSecond } = readConfig({ data: "x", quota, rate }, {});
      return [quotaBytes, requestsPerSecond];
    };
    assert.deepEqual(at("50GiB", "7"), [50 * 1024 ** 3, 7]);
    assert.deepEqual(at("off", "off"), [null, null]);
    for (const quota of ["50", "50GB", "0GiB", "-1GiB", "9999999TiB"]) {
      assert.throws(() => at(quota, "off"), /quota is .*a size such as 50GiB/, quota);
    }
    for (const rate of ["0", "1.5", "1000000", "many"]) {
      assert.throws(() => at("off", rate), /rate is .*requests a second/, rate);
    }
  });

  test("WI19: everything that is wrong is told at once", () => {
    const flags = { port: "70000", host: "a b", database: "oracle://x", chunks: "tape:" };
    const environment = { LOCKSTEP_LOG: "loud" };
    assert.throws(
      () => readConfig(flags, environment),
      (error: Error) => {
        for (const part of ["data is not set", "port is 70000", "host is a b", "oracle:"]) {
          assert.ok(error.message.includes(part), part);
        }
        assert.ok(error.message.includes("tape:") && error.message.includes("loud"));
        return true;
      },
    );
  });

  test("WI18: how long is kept, and how often is collected, are times with a unit", () => {
    const day = 86_400_000;
    const { rules, everyMs } = readConfig({ data: "x" }, {}).collecting;
    assert.deepEqual(rules.retention, { allMs: 30 * day, dailyMs: 365 * day });
    assert.deepEqual([rules.graceMs, everyMs], [3 * day, day]);
    const flags = { data: "x", keepAll: "forever", collectEvery: "off", collectGrace: "5s" };
    const other = readConfig(flags, { LOCKSTEP_KEEP_DAILY: "2h" }).collecting;
    assert.deepEqual(other.rules.retention, { allMs: Number.POSITIVE_INFINITY, dailyMs: day / 12 });
    assert.deepEqual([other.rules.graceMs, other.rules.packGraceMs], [5_000, 5_000]);
    assert.equal(other.everyMs, null);
    assert.throws(
      () => readConfig({ data: "x", keepAll: "30", collectEvery: "never" }, {}),
      /keepAll is 30, .*or forever; collectEvery is never, .*or off/,
    );
  });

  test("MP6: a database and a bucket are named by their addresses", () => {
    const database = "postgres://ada:secret@db.example:5433/files?sslmode=require";
    const chunks = "s3://packs/some/where?endpoint=http://s3.example:9000&region=eu-central-1";
    const config = readConfig({ data: "somewhere", database }, { LOCKSTEP_CHUNKS: chunks });
    assert.deepEqual(config.database, { kind: "postgres", url: database });
    const bucket = {
      bucket: "packs",
      prefix: "some/where/",
      endpoint: "http://s3.example:9000",
      region: "eu-central-1",
    };
    assert.deepEqual(config.chunks, { kind: "s3", bucket });
    const plain = readConfig({ data: "x", chunks: "s3://packs" }, { AWS_REGION: "eu-west-1" });
    assert.deepEqual(plain.chunks, {
      kind: "s3",
      bucket: { bucket: "packs", prefix: "", endpoint: null, region: "eu-west-1" },
    });
    const set = "mongodb://ada:secret@a.example,b.example:27018/files?replicaSet=rs";
    const mongo = readConfig({ data: "x", database: set }, {});
    assert.deepEqual(mongo.database, { kind: "mongodb", url: set });
    const files = readConfig({ data: "x", database: "sqlite:/a/b", chunks: "file:/c" }, {});
    assert.deepEqual(files.database, { kind: "sqlite", path: "/a/b" });
    assert.deepEqual(files.chunks, { kind: "file", path: "/c" });
  });

  test("MP6: no password of an address is repeated, whatever is wrong with it", () => {
    const wrong = [
      { database: "postgres://ada:hunter2@host" },
      { database: "postgress://ada:hunter2@host/files" },
      { database: "hunter2" },
      { database: "mongodb://ada:hunter2@host" },
      { database: "mongodb://ada:hunter2@host/?replicaSet=rs" },
      { chunks: "s3://KEY:hunter2@packs" },
      { chunks: "s3://packs?secret=hunter2" },
      { chunks: "s4://KEY:hunter2@packs" },
      { chunks: "s3://packs?endpoint=hunter2" },
    ];
    for (const flags of wrong) {
      assert.throws(
        () => readConfig({ data: "x", ...flags }, {}),
        (error: Error) =>
          !error.message.includes("hunter2") && /database|chunks/.test(error.message),
        JSON.stringify(flags),
      );
    }
  });
});
