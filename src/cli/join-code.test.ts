import assert from "node:assert/strict";
import { test } from "node:test";
import { parseJoinCode, writeJoinCode } from "./join-code.ts";

const SECRET = "7ZK2M0QWXA99TBCHJ4VE";

test("CL5: a join code is read as it was written, and in other spellings", () => {
  const written = writeJoinCode("http://nas.local:7420", SECRET);
  assert.equal(written, "nas.local:7420/7ZK2M-0QWXA-99TBC-HJ4VE");
  assert.deepEqual(parseJoinCode(written), { server: "nas.local:7420", secret: SECRET });
  const spelled = " https://nas.local/7zk2m oqwxa-99tbchj4ve/ ";
  assert.deepEqual(parseJoinCode(spelled), { server: "https://nas.local", secret: SECRET });
  assert.equal(writeJoinCode("https://nas.local", SECRET).startsWith("https://nas.local/"), true);
});

test("CL5: what is no join code is refused with what one looks like", () => {
  for (const text of ["", SECRET, "/7ZK2M", "nas:1/7ZK2M", "http://", `http://${SECRET}`]) {
    assert.throws(() => parseJoinCode(text), /looks like HOST:PORT\/XXXXX-/, text);
  }
});
