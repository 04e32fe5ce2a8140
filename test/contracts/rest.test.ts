import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ROOT_NODE } from "#core/ids.ts";
import { fillRoute } from "#protocol/routes.ts";
import {
  makeFile,
  makeFolder,
  ServerWorld,
  sha256,
  testNode,
  type Person,
} from "./server-world.ts";

async function alone(): Promise<{ world: ServerWorld; alice: Person } & AsyncDisposable> {
  const world = await ServerWorld.open();
  const alice = await world.signUp("alice");
  return { world, alice, [Symbol.asyncDispose]: async () => world[Symbol.asyncDispose]() };
}

const metadataOf = (person: Person, path: string, query = "") =>
  person.call("GET", `/file_metadata/${person.account}/${encodeURI(path)}${query}`);

const updatesSince = async (person: Person, version: number) =>
  (await person.call("GET", `/get_updates/${person.account}/${version}`)).json;

async function spaceNamed(person: Person, name: string): Promise<string> {
  const { spaces } = (await person.call("GET", "/v1/spaces")).json;
  return spaces.find((space: { name: string }) => space.name === name).space;
}

describe("POST /metadata_commit", () => {
  test("RS1: with all chunks there it commits, and versions grow", async () => {
    await using it = await alone();
    const first = await it.alice.write("docs/a.txt", "one");
    assert.deepEqual(first.json, { status: "committed", version_id: 1, missing_chunks: [] });
    const second = await it.alice.write("docs/b.txt", "two");
    assert.deepEqual(second.json, { status: "committed", version_id: 2, missing_chunks: [] });
    const again = await it.alice.write("docs/a.txt", "one");
    assert.equal(again.json.version_id, 3);
  });

  test("RS2: with chunks missing it commits nothing, and the same call again does", async () => {
    await using it = await alone();
    const [one, two] = [sha256("one"), sha256("two")];
    const wish = { user_id: "alice", file_path: "a.txt", chunk_hashes: [one, two, one] };
    const pending = await it.alice.call("POST", "/metadata_commit", { json: wish });
    assert.equal(pending.status, 200);
    assert.deepEqual(pending.json, {
      status: "pending",
      version_id: 0,
      missing_chunks: [one, two],
    });
    assert.equal((await metadataOf(it.alice, "a.txt")).status, 404);
    for (const [hash, text] of [
      [one, "one"],
      [two, "two"],
    ]) {
      await it.alice.call("POST", `/upload_chunk/alice/${hash}`, { body: text });
    }
    const committed = await it.alice.call("POST", "/metadata_commit", { json: wish });
    assert.equal(committed.json.status, "committed");
    const file = await metadataOf(it.alice, "a.txt");
    assert.deepEqual(file.json, {
      chunk_hashes: [one, two, one],
      version: 1,
      size_bytes: 9,
      sha256: sha256("onetwoone"),
    });
  });

  test("RS3: without a base the last write wins, even when ten write at once", async () => {
    await using it = await alone();
    await it.alice.write("a.txt", "first");
    const texts = Array.from({ length: 10 }, (_, index) => `text ${index}`);
    const answers = await Promise.all(texts.map((text) => it.alice.write("a.txt", text)));
    const versions = answers.map((answer) => answer.json.version_id).sort((a, b) => a - b);
    assert.deepEqual(versions, [2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    assert.ok(answers.every((answer) => answer.json.status === "committed"));
  });

  test("RS4: with a stale base it answers 409 and names the current version", async () => {
    await using it = await alone();
    await it.alice.write("a.txt", "one");
    const second = await it.alice.write("a.txt", "two", { base_version: 1 });
    assert.equal(second.json.version_id, 2);
    for (const stale of [0, 1, 3]) {
      const refused = await it.alice.write("a.txt", "three", { base_version: stale });
      assert.equal(refused.status, 409);
      assert.equal(refused.json.code, "stale-version");
      assert.equal(refused.json.current_version, 2);
    }
    assert.equal((await it.alice.write("new.txt", "x", { base_version: 0 })).status, 200);
    assert.equal((await it.alice.write("none.txt", "x", { base_version: 2 })).status, 409);
  });

  test("RS5: paths that could leave or break the tree are refused with 400", async () => {
    await using it = await alone();
    const bad = ["../a", "a/../b", "./a", "/a", "a//b", "a/", "a\0b", "a\u0007"];
    bad.push(`${"x".repeat(256)}/a`, "x/".repeat(2_100), ".lockstep/a", "a/.LockStep", "\ud800");
    for (const path of bad) {
      const refused = await it.alice.write(path, "x");
      assert.equal(refused.status, 400, JSON.stringify(path));
      assert.equal(refused.json.code, "bad-request");
    }
    assert.deepEqual((await it.alice.call("GET", "/list_files/alice")).json, { files: [] });
  });

  test("RS6: a path through a file, and a path that is a folder, are 409", async () => {
    await using it = await alone();
    await it.alice.write("docs/a.txt", "one");
    for (const path of ["docs/a.txt/b", "docs"]) {
      const refused = await it.alice.write(path, "two");
      assert.equal(refused.status, 409);
      assert.equal(refused.json.code, "conflict");
    }
  });

  test("RS7: folders on the way come with the file in one commit, once", async () => {
    await using it = await alone();
    await it.alice.write("a/b/c/one.txt", "one");
    await it.alice.write("a/b/two.txt", "two");
    const space = await spaceNamed(it.alice, "files");
    const feed = await it.alice.call(
      "GET",
      `${fillRoute("changes", { space })}?cursor=${await startOf(it.alice, space)}`,
    );
    const kinds = feed.json.entries.map((entry: { changes: { type: string }[] }) =>
      entry.changes.map((change) => change.type),
    );
    assert.deepEqual(kinds, [["folder", "folder", "folder", "file"], ["file"]]);
  });

  test("RS8: an empty file is one without chunks", async () => {
    await using it = await alone();
    const wish = { user_id: "alice", file_path: "empty", chunk_hashes: [] };
    const answer = await it.alice.call("POST", "/metadata_commit", { json: wish });
    assert.equal(answer.json.status, "committed");
    const file = await metadataOf(it.alice, "empty");
    assert.deepEqual(file.json, {
      chunk_hashes: [],
      version: 1,
      size_bytes: 0,
      sha256: sha256(""),
    });
  });
});

async function startOf(person: Person, space: string): Promise<string> {
  return (await person.call("GET", fillRoute("space", { space }))).json.start;
}

describe("chunks of the REST calls", () => {
  test("RS9: a chunk comes back as it went in, raw or as a multipart file", async () => {
    await using it = await alone();
    const bytes = new Uint8Array(100_000).map((_, index) => index % 251);
    const raw = await it.alice.call("POST", `/upload_chunk/alice/${sha256(bytes)}`, {
      body: bytes,
      headers: { "content-type": "application/octet-stream" },
    });
    assert.deepEqual(raw.json, { status: "uploaded" });
    const form = new FormData();
    form.set("file", new Blob(["of a form"]), "chunk.bin");
    const multipart = await it.alice.call("POST", `/upload_chunk/alice/${sha256("of a form")}`, {
      body: form,
    });
    assert.deepEqual(multipart.json, { status: "uploaded" });
    const back = await it.alice.call("GET", `/download_chunk/alice/${sha256(bytes)}`);
    assert.equal(back.headers.get("content-type"), "application/octet-stream");
    assert.deepEqual(Buffer.from(back.bytes), Buffer.from(bytes));
    const other = await it.alice.call("GET", `/download_chunk/alice/${sha256("of a form")}`);
    assert.equal(Buffer.from(other.bytes).toString(), "of a form");
  });

  test("RS10: bytes of another hash are refused with 422 and not stored", async () => {
    await using it = await alone();
    for (const claimed of [sha256("right"), "no-hash"]) {
      const refused = await it.alice.call("POST", `/upload_chunk/alice/${claimed}`, {
        body: "wrong",
      });
      assert.equal(refused.status, 422);
      assert.equal(refused.json.code, "hash-mismatch");
    }
    for (const text of ["right", "wrong"]) {
      const none = await it.alice.call("GET", `/download_chunk/alice/${sha256(text)}`);
      assert.equal(none.status, 404);
    }
  });

  test("RS11: a chunk above 8 MiB is 413, none at all or a form without one 400", async () => {
    await using it = await alone();
    const large = new Uint8Array(8 * 1024 * 1024 + 1);
    const upload = `/upload_chunk/alice/${sha256(large)}`;
    assert.equal((await it.alice.call("POST", upload, { body: large })).status, 413);
    const form = new FormData();
    form.set("file", new Blob([large]), "chunk.bin");
    assert.equal((await it.alice.call("POST", upload, { body: form })).status, 413);
    const most = large.subarray(1);
    const fits = await it.alice.call("POST", `/upload_chunk/alice/${sha256(most)}`, { body: most });
    assert.equal(fits.status, 200);
    const empty = await it.alice.call("POST", `/upload_chunk/alice/${sha256("")}`, { body: "" });
    assert.equal(empty.status, 400);
    const fields = new FormData();
    fields.set("file", "only a text");
    const noFile = await it.alice.call("POST", upload, { body: fields });
    assert.equal(noFile.status, 400);
  });

  test("RS12: who knows a hash but never sent its bytes cannot get or commit it", async () => {
    await using it = await alone();
    const bob = await it.world.signUp("bob");
    await it.alice.write("secret.txt", "secret");
    const hash = sha256("secret");
    assert.equal((await bob.call("GET", `/download_chunk/bob/${hash}`)).status, 404);
    const wish = { user_id: "bob", file_path: "mine.txt", chunk_hashes: [hash] };
    const pending = await bob.call("POST", "/metadata_commit", { json: wish });
    assert.deepEqual(pending.json, { status: "pending", version_id: 0, missing_chunks: [hash] });
    assert.equal((await bob.write("mine.txt", "secret")).json.status, "committed");
  });
});

describe("reading files", () => {
  test("RS13: paths may hold slashes, blanks, percent signs, umlauts and newlines", async () => {
    await using it = await alone();
    const paths = ["a b/ü.txt", "100%/x", "100%25/x", "a?b#c/d+e", "line\nbreak/é", "日本/語"];
    for (const path of paths) await it.alice.write(path, path);
    const listed = (await it.alice.call("GET", "/list_files/alice")).json.files;
    assert.deepEqual(
      listed.map((file: { file_path: string }) => file.file_path),
      paths.toSorted(),
    );
    for (const path of paths) {
      const whole = fillRoute("fileMetadata", { user_id: "alice", file_path: path });
      const byName = `/file_metadata/alice/${path.split("/").map(encodeURIComponent).join("/")}`;
      for (const address of [whole, byName]) {
        assert.equal((await it.alice.call("GET", address)).json?.sha256, sha256(path), address);
      }
    }
    assert.equal((await it.alice.call("GET", "/file_metadata/alice/100%/x")).status, 400);
    assert.equal((await it.alice.call("GET", "/file_metadata/alice/a%2F..%2Fb")).status, 400);
  });

  test("RS14: names that differ only in case are one file where the space folds", async () => {
    await using it = await alone();
    await it.alice.write("Docs/A.txt", "one");
    const second = await it.alice.write("docs/a.TXT", "two");
    assert.equal(second.json.version_id, 2);
    const { files } = (await it.alice.call("GET", "/list_files/alice")).json;
    assert.deepEqual(files, [{ file_path: "Docs/A.txt", version: 2 }]);
    await it.alice.space("exact", false);
    await it.alice.write("A", "one", { space: "exact" });
    await it.alice.write("a", "two", { space: "exact" });
    const exact = (await it.alice.call("GET", "/list_files/alice?space=exact")).json;
    assert.equal(exact.files.length, 2);
  });

  test("RS15: files are listed by path, in pages where a limit is given", async () => {
    await using it = await alone();
    assert.deepEqual((await it.alice.call("GET", "/list_files/alice")).json, { files: [] });
    for (const path of ["c", "a/z", "b"]) await it.alice.write(path, path);
    const all = (await it.alice.call("GET", "/list_files/alice")).json;
    assert.deepEqual(all, {
      files: [
        { file_path: "a/z", version: 2 },
        { file_path: "b", version: 3 },
        { file_path: "c", version: 1 },
      ],
    });
    const page = (await it.alice.call("GET", "/list_files/alice?limit=2")).json;
    assert.equal(page.next, "b");
    const rest = (await it.alice.call("GET", "/list_files/alice?limit=2&after=b")).json;
    assert.deepEqual(rest, { files: [{ file_path: "c", version: 1 }] });
  });

  test("RS16: a token opens its own account only, whether the other exists or not", async () => {
    await using it = await alone();
    const bob = await it.world.signUp("bob");
    await bob.write("b.txt", "of bob");
    const hash = sha256("of bob");
    const wish = { file_path: "b.txt", chunk_hashes: [hash] };
    for (const user of ["bob", "nobody"]) {
      const answers = [
        await it.alice.call("POST", "/metadata_commit", { json: { user_id: user, ...wish } }),
        await it.alice.call("POST", `/upload_chunk/${user}/${hash}`, { body: "of bob" }),
        await it.alice.call("GET", `/download_chunk/${user}/${hash}`),
        await it.alice.call("GET", `/file_metadata/${user}/b.txt`),
        await it.alice.call("GET", `/list_files/${user}`),
        await it.alice.call("GET", `/get_updates/${user}/0`),
        await it.alice.call("POST", `/revert_file/${user}/b.txt`),
      ];
      for (const answer of answers) {
        assert.equal(answer.status, 403);
        assert.equal(answer.json.code, "forbidden");
      }
    }
    assert.equal((await it.alice.call("GET", "/list_files/ALICE")).status, 200);
  });

  test("RS17: every one of the seven calls wants a token", async () => {
    await using world = await ServerWorld.open();
    const wish = { user_id: "alice", file_path: "a", chunk_hashes: [] };
    const answers = [
      await world.call("POST", "/metadata_commit", { json: wish }),
      await world.call("POST", `/upload_chunk/alice/${sha256("x")}`, { body: "x" }),
      await world.call("GET", `/download_chunk/alice/${sha256("x")}`),
      await world.call("GET", "/file_metadata/alice/a"),
      await world.call("GET", "/list_files/alice"),
      await world.call("GET", "/get_updates/alice/0"),
      await world.call("POST", "/revert_file/alice/a"),
    ];
    for (const answer of answers) assert.equal(answer.status, 401);
  });

  test("RS18: `space` picks another plain space; one that is not there is 404", async () => {
    await using it = await alone();
    await it.alice.space("work");
    await it.alice.write("a.txt", "at work", { space: "work" });
    assert.equal((await metadataOf(it.alice, "a.txt")).status, 404);
    assert.equal((await metadataOf(it.alice, "a.txt", "?space=work")).json.version, 1);
    assert.equal((await it.alice.call("GET", "/list_files/alice?space=none")).status, 404);
    const wish = { user_id: "alice", file_path: "a", chunk_hashes: [], space: "none" };
    assert.equal((await it.alice.call("POST", "/metadata_commit", { json: wish })).status, 404);
  });

  test("SS6: a sealed space is refused to programs, by name", async () => {
    await using it = await alone();
    const sealed = { name: "home", kind: "sealed" };
    assert.equal((await it.alice.call("POST", "/v1/spaces", { json: sealed })).status, 201);
    const wish = { user_id: "alice", file_path: "a", chunk_hashes: [], space: "home" };
    for (const answer of [
      await it.alice.call("GET", "/list_files/alice?space=home"),
      await it.alice.call("GET", "/file_metadata/alice/a?space=home"),
      await it.alice.call("GET", "/get_updates/alice/0?space=home"),
      await it.alice.call("GET", `/download_chunk/alice/${sha256("x")}?space=home`),
      await it.alice.call("POST", "/revert_file/alice/a?space=home"),
      await it.alice.call("POST", "/metadata_commit", { json: wish }),
      await it.alice.call("POST", `/upload_chunk/alice/${sha256("x")}?space=home`, { body: "x" }),
    ]) {
      assert.equal(answer.status, 409);
      assert.match(answer.json.detail, /home is sealed/);
    }
  });
});

describe("GET /get_updates", () => {
  test("RS19: tells what changed after a version, and deleted files as deleted", async () => {
    await using it = await alone();
    await it.alice.write("a.txt", "one");
    await it.alice.write("b.txt", "two");
    await it.alice.write("a.txt", "three");
    assert.deepEqual(await updatesSince(it.alice, 1), {
      updated_files: [
        { file_path: "b.txt", version: 2 },
        { file_path: "a.txt", version: 3 },
      ],
      latest_version: 3,
    });
    const space = await spaceNamed(it.alice, "files");
    const { entries } = await feedOf(it.alice, space);
    const node = entries[1].changes[0].node;
    await it.alice.commit(space, [{ kind: "delete", node, crev: 2, lrev: 2 }]);
    assert.deepEqual(await updatesSince(it.alice, 3), {
      updated_files: [{ file_path: "b.txt", version: 4, deleted: true }],
      latest_version: 4,
    });
    assert.deepEqual(await updatesSince(it.alice, 4), { updated_files: [], latest_version: 4 });
  });

  test("RS20: a renamed folder moves all below it: old paths deleted, new ones told", async () => {
    await using it = await alone();
    await it.alice.write("old/a.txt", "one");
    await it.alice.write("old/deep/b.txt", "two");
    await it.alice.write("beside.txt", "three");
    const space = await spaceNamed(it.alice, "files");
    const { entries } = await feedOf(it.alice, space);
    const folder = entries[0].changes[0].node;
    await it.alice.commit(space, [
      { kind: "move", node: folder, lrev: 1, parent: ROOT_NODE, name: "new" },
    ]);
    const told = await updatesSince(it.alice, 3);
    const sorted = told.updated_files.toSorted((left: object, right: object) =>
      JSON.stringify(left) < JSON.stringify(right) ? -1 : 1,
    );
    assert.deepEqual(sorted, [
      { file_path: "new/a.txt", version: 4 },
      { file_path: "new/deep/b.txt", version: 4 },
      { file_path: "old/a.txt", version: 4, deleted: true },
      { file_path: "old/deep/b.txt", version: 4, deleted: true },
    ]);
    // The version that was told is a good base for the next commit.
    const next = await it.alice.write("new/a.txt", "four", { base_version: 4 });
    assert.equal(next.json.version_id, 5);
  });

  test("RS21: a path that another file took over is told as changed, not as deleted", async () => {
    await using it = await alone();
    await it.alice.write("a", "first");
    await it.alice.write("b", "second");
    const space = await spaceNamed(it.alice, "files");
    const { entries } = await feedOf(it.alice, space);
    const [a, b] = entries.map((entry: { changes: { node: string }[] }) => entry.changes[0]?.node);
    await it.alice.commit(space, [
      { kind: "move", node: a, lrev: 1, parent: ROOT_NODE, name: "b" },
      { kind: "move", node: b, lrev: 2, parent: ROOT_NODE, name: "a" },
    ]);
    const told = (await updatesSince(it.alice, 2)).updated_files;
    assert.deepEqual(told.map((file: { file_path: string }) => file.file_path).toSorted(), [
      "a",
      "b",
    ]);
    assert.ok(told.every((file: { deleted?: boolean }) => file.deleted === undefined));
  });

  test("RS22: whoever follows the updates, in pages or not, has the listed files", async () => {
    await using it = await alone();
    const space = (await it.alice.space("files")).space;
    const { changes, steps } = story();
    await it.alice.put(space, ...steps.map((text) => Buffer.from(text)));
    // After each commit one more begins to follow, and all before it fall behind a little more.
    const states: { known: ReadonlySet<string>; at: number }[] = [{ known: new Set(), at: 0 }];
    for (const batch of changes) {
      assert.equal((await it.alice.commit(space, batch)).json.outcome, "committed");
      const { files } = (await it.alice.call("GET", "/list_files/alice")).json;
      const paths = files.map((file: { file_path: string }) => file.file_path);
      for (const { known, at } of states) {
        for (const query of ["", "?limit=1"]) {
          assert.deepEqual(await follow(it.alice, known, at, query), paths, `from ${at} ${query}`);
        }
      }
      states.push({ known: new Set(paths), at: states.length });
    }
  });
});

type Updated = { file_path: string; deleted?: boolean };

async function follow(person: Person, known: ReadonlySet<string>, since: number, query: string) {
  const paths = new Set(known);
  for (let at = since; ;) {
    const told = (await person.call("GET", `/get_updates/alice/${at}${query}`)).json;
    for (const { file_path: path, deleted } of told.updated_files as Updated[]) {
      if (deleted === true) paths.delete(path);
      else paths.add(path);
    }
    if (told.latest_version === at) return [...paths].toSorted();
    at = told.latest_version;
  }
}

/** Folders and files that are made, renamed, moved into one another, swapped and deleted. */
function story() {
  const [f1, f2, f3, a, b, c] = [1, 2, 3, 11, 12, 13].map(testNode) as [
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  const steps = ["alpha", "beta", "gamma"];
  const move = (node: string, lrev: number, parent: string, name: string) =>
    ({ kind: "move", node, lrev, parent, name }) as never;
  const changes = [
    [makeFolder(f1, ROOT_NODE, "one"), makeFile(a, f1, "a", "alpha")],
    [makeFolder(f2, f1, "two"), makeFile(b, f2, "b", "beta")],
    [move(f2, 2, ROOT_NODE, "zwei"), makeFile(c, f2, "c", "gamma")],
    [move(f1, 1, f2, "eins")],
    [makeFolder(f3, ROOT_NODE, "one"), move(b, 2, f3, "a")],
    [move(f2, 3, f3, "two"), { kind: "delete", node: c, crev: 3, lrev: 3 } as never],
    [move(a, 1, ROOT_NODE, "a"), { kind: "delete", node: f1, crev: 1, lrev: 4 } as never],
    [
      { kind: "delete", node: b, crev: 2, lrev: 5 } as never,
      { kind: "delete", node: f2, crev: 2, lrev: 6 } as never,
      { kind: "delete", node: f3, crev: 5, lrev: 5 } as never,
    ],
  ];
  return { changes, steps };
}

async function feedOf(person: Person, space: string) {
  const cursor = await startOf(person, space);
  return (await person.call("GET", `${fillRoute("changes", { space })}?cursor=${cursor}`)).json;
}

describe("POST /revert_file", () => {
  const textOf = async (person: Person, path: string) => {
    const [hash] = (await metadataOf(person, path)).json.chunk_hashes;
    const chunk = await person.call("GET", `/download_chunk/${person.account}/${hash}`);
    return Buffer.from(chunk.bytes).toString();
  };

  test("RS23: the content before becomes a new version; again, and it toggles", async () => {
    await using it = await alone();
    await it.alice.write("docs/a.txt", "one");
    await it.alice.write("other.txt", "x");
    await it.alice.write("docs/a.txt", "two");
    const reverted = await it.alice.call("POST", "/revert_file/alice/docs/a.txt");
    assert.deepEqual(reverted.json, {
      status: "reverted",
      version_id: 4,
      from_version_id: 3,
      previous_version_id: 1,
    });
    assert.equal(await textOf(it.alice, "docs/a.txt"), "one");
    const again = await it.alice.call("POST", "/revert_file/alice/docs/a.txt");
    assert.deepEqual(again.json, {
      status: "reverted",
      version_id: 5,
      from_version_id: 4,
      previous_version_id: 3,
    });
    assert.equal(await textOf(it.alice, "docs/a.txt"), "two");
  });

  test("RS24: to_version picks any version of the file, and no other", async () => {
    await using it = await alone();
    for (const text of ["one", "two", "three"]) await it.alice.write("a.txt", text);
    await it.alice.write("b.txt", "x");
    const picked = await it.alice.call("POST", "/revert_file/alice/a.txt?to_version=1");
    assert.equal(picked.json.previous_version_id, 1);
    assert.equal(await textOf(it.alice, "a.txt"), "one");
    for (const none of ["b.txt", "a.txt?to_version=4", "a.txt?to_version=99", "none.txt"]) {
      const refused = await it.alice.call("POST", `/revert_file/alice/${none}`);
      assert.equal(refused.status, 404, none);
      assert.equal(refused.json.code, "not-found");
    }
  });

  test("GC2: a version that is no longer kept is 409 version-forgotten", async () => {
    await using it = await alone();
    for (const text of ["one", "two"]) await it.alice.write("a.txt", text);
    const { journals, collection } = it.world.metadata;
    const [space] = await collection.links.spaces(10);
    assert.ok(space !== undefined);
    const [row] = await journals.changedSince(space, 0, 10);
    assert.ok(row !== undefined);
    await collection.links.forget(space, [{ node: row.id, sequence: 1 }]);
    for (const which of ["", "?to_version=1"]) {
      const refused = await it.alice.call("POST", `/revert_file/alice/a.txt${which}`);
      assert.deepEqual([refused.status, refused.json.code], [409, "version-forgotten"]);
    }
    assert.equal(await textOf(it.alice, "a.txt"), "two");
  });

  test("RS25: a rename is no content: going back goes past it and keeps the name", async () => {
    await using it = await alone();
    await it.alice.write("a.txt", "one");
    await it.alice.write("a.txt", "two");
    const space = await spaceNamed(it.alice, "files");
    const node = (await feedOf(it.alice, space)).entries[0].changes[0].node;
    await it.alice.commit(space, [
      { kind: "move", node, lrev: 1, parent: ROOT_NODE, name: "b.txt" },
    ]);
    const reverted = await it.alice.call("POST", "/revert_file/alice/b.txt");
    assert.deepEqual(reverted.json, {
      status: "reverted",
      version_id: 4,
      from_version_id: 3,
      previous_version_id: 1,
    });
    assert.equal(await textOf(it.alice, "b.txt"), "one");
  });
});

describe("REST calls and devices", () => {
  test("RS26: see the same files, both ways", async () => {
    await using it = await alone();
    const space = (await it.alice.space("files")).space;
    await it.alice.put(space, Buffer.from("from a device"));
    await it.alice.commit(space, [makeFile(testNode(7), ROOT_NODE, "device.txt", "from a device")]);
    const seen = await metadataOf(it.alice, "device.txt");
    assert.deepEqual(seen.json.chunk_hashes, [sha256("from a device")]);
    await it.alice.write("device.txt", "from curl", { executable: true });
    const { entries } = await feedOf(it.alice, space);
    assert.equal(entries[1].changes[0].kind, "update");
    assert.equal(entries[1].changes[0].node, testNode(7));
    assert.deepEqual(JSON.parse(entries[1].changes[0].meta), {
      kind: "file",
      sizeBytes: 9,
      sha256: sha256("from curl"),
      executable: true,
      mtimeMs: it.world.clock.nowMs(),
    });
  });
});
