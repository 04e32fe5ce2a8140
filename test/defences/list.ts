// Against each attack of SPEC.md: what stands against it, as an edit that takes it away, and the
// test that has to fall then. `scripts/defences.ts` tries all of them.

import type { Edit } from "#sim/mutation.ts";

export type Defence = {
  /** As in SPEC.md; the test's name has it. */
  readonly attack: string;
  readonly test: string;
  /** What is gone, in words. */
  readonly without: string;
  readonly edits: readonly Edit[];
};

type Change = readonly [file: string, find: string, replace: string];

function defence(
  attack: string,
  test: string,
  without: string,
  ...changes: readonly Change[]
): Defence {
  const edits = changes.map(([file, find, replace]) => ({ file, find, replace }));
  return { attack, test, without, edits };
}

const CHEATING = "test/contracts/cheating-server.test.ts";
const SEAL = "test/engine/sealed-seal.test.ts";
const JOINING = "test/contracts/joining.test.ts";

/** Attacks on the tree itself, which no edit of the source can let through. */
export const OF_THE_TREE: readonly string[] = ["T-CR-05", "T-SC-01"];

export const DEFENCES: readonly Defence[] = [
  defence("BE-1", CHEATING, "the identity in the stanza is compared with the bundle's", [
    "crypto/bundle.ts",
    "if (!primitives.hashes.equal(secrets.identity, parts.identity)) {",
    "if (false) {",
  ]),
  defence(
    "T-KY-01",
    CHEATING,
    "a keyring is signed by the identity that the device believes",
    [
      "crypto/keyring.ts",
      "if (!signatures.verify(expected.identity, signed(body), signature)) {",
      "if (false) {",
    ],
    [
      "crypto/keyring.ts",
      "if (!hashes.equal(signatures.publicKey(keyring.identitySeed), expected.identity)) {",
      "if (false) {",
    ],
  ),
  defence("BE-3", CHEATING, "the keyring decides what is sealed", [
    "cli/linking.ts",
    "    checkKind(keys, row);\n",
    "",
  ]),
  defence("BE-9", CHEATING, "the keyring decides which spaces there are", [
    "cli/linking.ts",
    "    checkKind(keys, row);\n",
    "",
  ]),
  defence(
    "BE-5",
    "src/sync/sealed-remote.test.ts",
    "a chunk's tag and its raw hash",
    ["crypto/chunk.ts", "if (toHex(hashes.sha256([raw])) !== entry.raw)", "if (false)"],
    ["platform/primitives.ts", "opening.final();", ""],
  ),
  defence("BE-6", SEAL, "pieces of a list are bound to their places", [
    "sync/manifest-pieces.ts",
    "    if (stored.length > entries.length) throw unasked();\n",
    "",
  ]),
  defence("BE-7", SEAL, "a name is bound to its node and folder", [
    "crypto/keys.ts",
    "const ids = [fromHex(keys.space), fromHex(node), fromHex(parent)];",
    "const ids = [fromHex(keys.space)];",
  ]),
  defence("BE-8", SEAL, "a signature covers the changes", [
    "crypto/journal.ts",
    'if (!signatures.verify(signingKey, signed(facts), fromHex(signature))) return "bad-signature";',
    "",
  ]),
  defence("BE-10", SEAL, "an entry is signed by its device", [
    "crypto/journal.ts",
    'if (!signatures.verify(signingKey, signed(facts), fromHex(signature))) return "bad-signature";',
    "",
  ]),
  defence(
    "T-DD-01",
    "test/e2e/accounts.test.ts",
    "what everybody has is sealed alike for everybody",
    [
      "sync/chunk-sealer.ts",
      "const inputs = framed.map(({ input }) => input);",
      "return null;\n    const inputs = framed.map(({ input }) => input);",
    ],
  ),
  defence(
    "T-DD-02",
    "test/contracts/ownership.test.ts",
    "a space holds what was sent to it alone",
    [
      "server/metadata/sqlite-chunks.ts",
      "AND l.space = ? AND l.chunk = ?`",
      "AND (l.space = ? OR 1) AND l.chunk = ?`",
    ],
  ),
  defence(
    "T-DD-03",
    "test/contracts/ownership.test.ts",
    "what is missing is asked of the space's own",
    [
      "server/http/chunks.ts",
      "const held = new Set((await chunks.held(space.id, asked)).map((place) => place.id));",
      "const held = await chunks.stored(asked);",
    ],
  ),
  defence("T-DD-03", "src/server/intake.test.ts", "what is earned does not depend on others", [
    "server/intake.ts",
    "const before = await chunks.held(space, ids);",
    "const had = await chunks.stored(ids);\n      const before = batch.written.filter(({ id }) => had.has(id));",
  ]),
  defence("T-DD-04", "src/server/intake.test.ts", "what others have is written all the same", [
    "server/intake.ts",
    "const { name, writer } = stored.has(id) ? spare : fresh;",
    "if (stored.has(id)) continue;\n      const { name, writer } = fresh;",
  ]),
  defence("T-DD-04", "test/contracts/timing.test.ts", "what others have is written all the same", [
    "server/intake.ts",
    "const offsetBytes = await writer.append(bytes);",
    "const offsetBytes = stored.has(id) ? 0 : await writer.append(bytes);",
  ]),
  defence("T-DD-04", "test/contracts/timing.test.ts", "what others have takes as long", [
    "server/intake.ts",
    "const fresh = (this.#fresh ??= await this.#createPack());",
    "const had = await this.#world.chunks.stored(frames.map(({ id }) => id));\n" +
      "    if (frames.every(({ id }) => had.has(id))) return;\n" +
      "    const fresh = (this.#fresh ??= await this.#createPack());",
  ]),
  defence(
    "T-DD-05",
    "test/contracts/ownership.test.ts",
    "bytes are hashed before they are stored",
    ["server/intake.ts", "if (toHex(this.#world.digest.sha256(bytes)) !== id) {", "if (false) {"],
  ),
  defence("T-DD-07", "test/e2e/accounts.test.ts", "chunks' secrets need the key service's key", [
    "crypto/oprf.ts",
    'return hashes.sha512([...sized(input), ...sized(unblinded), utf8("Finalize")]);',
    "return hashes.sha512([...sized(input), unblinded.subarray(0, 0)]);",
  ]),
  defence("T-DD-08", "src/key-service/budget.test.ts", "everybody together has a limit", [
    "key-service/budget.ts",
    "if (this.#atOnce < count) return",
    "if (count < 0) return",
  ]),
  defence("T-DD-08", "src/key-service/app.test.ts", "the limit is asked before it answers", [
    "key-service/app.ts",
    "if (waitMs > 0) {",
    "if (waitMs < 0) {",
  ]),
  defence("T-DD-09", "src/crypto/oprf.test.ts", "the proof is checked against the pinned key", [
    "crypto/oprf.ts",
    'if (!world.hashes.equal(expected, c)) throw bad("it was not made with the pinned key");',
    "",
  ]),
  defence("T-DD-09", "test/engine/chunk-sealer.test.ts", "the proof is checked", [
    "crypto/oprf.ts",
    "    this.#verify(evaluated, proof);\n",
    "",
  ]),
  defence("T-DD-10", "src/crypto/chunk.test.ts", "a chunk's head is what its entry says", [
    "crypto/chunk.ts",
    "if (!hashes.equal(head, concat([...expected, u16(entry.epoch)]))) {",
    "if (false) {",
  ]),
  defence("T-DD-11", "src/crypto/chunk.test.ts", "the key follows from what is encrypted", [
    "crypto/chunk.ts",
    "const input = inputOf(primitives, head, frame, payloadHash);\n  const bases",
    'const input = hashes.sha256([concat([labelBytes("frame"), head, rawHash])]);\n  const bases',
  ]),
  defence("T-DD-12", "src/crypto/chunk.test.ts", "small chunks are never for everybody", [
    "crypto/chunk.ts",
    "  assert(raw.length >= MIN_SHARED_BYTES, `${raw.length} bytes are too few to be shared`);\n",
    "",
  ]),
  defence("T-DD-13", "test/contracts/packs.test.ts", "packs have drawn names and closed contents", [
    "server/chunks/closed-packs.ts",
    "const offsetBytes = await writer.append(closed);",
    "const offsetBytes = await writer.append(bytes);",
  ]),
  defence("T-SZ-01", "src/crypto/frame.test.ts", "frames are padded", [
    "crypto/frame.ts",
    "const padBytes = padme(length) - length;",
    "const padBytes = 0;",
  ]),
  defence("T-SZ-01", "src/chunking/cut.test.ts", "cuts depend on a key", [
    "chunking/cut.ts",
    "export function cutKeyFrom(bytes: Uint8Array): CutKey {",
    "export function cutKeyFrom(bytes: Uint8Array): CutKey {\n  bytes = new Uint8Array(bytes.length).fill(1);",
  ]),
  defence("T-CR-01", "src/crypto/chunk.test.ts", "the commitment is compared", [
    "crypto/chunk.ts",
    "if (!hashes.equal(stored.subarray(HEAD_BYTES, OPEN_BYTES), commitment)) {",
    "if (false) {",
  ]),
  defence("T-CR-02", "src/crypto/sealed.test.ts", "the last piece has to be shorter", [
    "crypto/sealed.ts",
    'if (last === undefined || last.length === PIECE_BYTES) throw bad("it is cut off");',
    'if (last === undefined) throw bad("it is cut off");',
  ]),
  defence("T-CR-03", SEAL, "a meta is bound to its node and revision", [
    "crypto/keys.ts",
    'return context("meta", [...ids, u64(follows), u16(keys.epoch)]);',
    'return context("meta", [u16(keys.epoch)]);',
  ]),
  defence("T-CR-03", "src/crypto/sealed.test.ts", "what an object is goes into its key", [
    "crypto/sealed.ts",
    "const info = concat([INFO, salt, context]);",
    "const info = concat([INFO, salt, context.subarray(0, 0)]);",
  ]),
  defence(
    "T-CR-04",
    "test/engine/network.test.ts",
    "a chunk, and the whole, are hashed before they are put in place",
    ["platform/remote-http.ts", "if (toHex(this.#digest.sha256(bytes)) === id) return;", "return;"],
    ["sync/stage.ts", "return toHex(this.#world.digest.sha256(bytes)) === chunk;", "return true;"],
    [
      "sync/stage.ts",
      "if (hash === content.sha256) return { path, stat };",
      "return { path, stat };",
    ],
  ),
  defence("T-JR-01", "src/sync/sealed-remote.test.ts", "a device remembers what it has read", [
    "sync/sealed-remote.ts",
    "    if (feed.head < seen || sequence < seen) throw this.#behind(feed);\n",
    "",
  ]),
  defence("T-JR-02", SEAL, "a commit's base is of this past", [
    "crypto/journal.ts",
    'return chain === facts.base.chain ? "sound" : "other-base";',
    'return "sound";',
  ]),
  defence("T-JR-03", SEAL, "a commit stands in a journal once", [
    "sync/sealed-seal.ts",
    "if ((sealedRecords.sequenceOf(commitId) ?? sequence) !== sequence)",
    "if (false)",
  ]),
  defence("T-JR-04", JOINING, "the heads that were handed over are compared", [
    "cli/joining.ts",
    "    await expectHeads(own, heads);\n",
    "",
  ]),
  defence("T-JR-05", "test/e2e/crash.test.ts", "a device remembers exactly what it has read", [
    "sync/sealed-seal.ts",
    "    sealedRecords.putEntry(sequence, { chain, commitId });",
    "    sealedRecords.putEntry(sequence + 1, { chain, commitId });",
  ]),
  defence("T-KY-02", CHEATING, "the cost is this program's own", [
    "platform/sign-in.ts",
    '"argon2id-custom": { iterations: 3, memory: 64 * 1024, parallelism: 1 },',
    '"argon2id-custom": { iterations: 2, memory: 64 * 1024, parallelism: 1 },',
  ]),
  defence(
    "T-KY-03",
    "test/contracts/accounts.test.ts",
    "an account that is not there is answered",
    [
      "server/logins.ts",
      "const record = row?.opaqueRecord ?? parts.opaque.nobodys;",
      "if (row === undefined) throw wrong();\n  const record = row.opaqueRecord;",
    ],
  ),
  defence("T-KY-03", "test/contracts/accounts.test.ts", "a record is read either way", [
    "server/logins.ts",
    "const record = row?.opaqueRecord ?? parts.opaque.nobodys;",
    "const record = row?.opaqueRecord as string;",
  ]),
  defence("T-KY-03", "test/contracts/accounts.test.ts", "a proof is checked either way", [
    "server/logins.ts",
    "const isProved = ",
    "if (row === undefined) throw wrong();\n  const isProved = ",
  ]),
  defence("T-KY-03", "test/contracts/timing.test.ts", "its answer takes as long", [
    "server/logins.ts",
    "const started = parts.opaque.startLogin(key, startLoginRequest, record);",
    "const started = parts.opaque.startLogin(key, startLoginRequest, record);\n" +
      "  if (row === undefined) parts.opaque.startLogin(key, startLoginRequest, record);",
  ]),
  defence("T-KY-03", "test/contracts/timing.test.ts", "a proof is checked either way", [
    "server/logins.ts",
    "const isProved = ",
    "if (row === undefined) throw wrong();\n  const isProved = ",
  ]),
  defence("T-KY-04", CHEATING, "the old password's record is replaced", [
    "server/metadata/sqlite-accounts.ts",
    "opaque_record = coalesce($record, opaque_record)",
    "opaque_record = coalesce(opaque_record, $record)",
  ]),
  defence("T-KY-05", JOINING, "who asks proves the code", [
    "crypto/join-exchange.ts",
    "if (!hashes.equal(tag, hashes.hmacSha256(keys.proof, [commitment, said]))) {",
    "if (false) {",
  ]),
  defence("T-KY-06", "test/e2e/accounts.test.ts", "a revocation begins new keys for every space", [
    "cli/renewing.ts",
    "return { ...space, epochs: [...space.epochs, next] };",
    "void next;\n      return space;",
  ]),
  defence("T-KY-07", "test/e2e/accounts.test.ts", "words have a checksum", [
    "cli/recovery-words.ts",
    'throw wrongUsage("One of the words, or their order, is wrong: their checksum does not fit.");',
    "return new Uint8Array(32);",
  ]),
  defence("T-FS-01", "test/engine/follow.test.ts", "names from the server are looked at", [
    "sync/follow.ts",
    "const problem = nameProblem(name);\n    if (problem === null) return name;",
    "const problem = nameProblem(name);\n    if (problem !== undefined) return name;",
  ]),
  defence("T-FS-02", "test/contracts/disk.test.ts", "no link is followed on the way", [
    "platform/root-path.ts",
    "const flags = FOLDER_FLAGS | constants.O_NOFOLLOW;",
    "const flags = FOLDER_FLAGS;",
  ]),
  defence("T-FS-03", "src/platform/file-reader.test.ts", "no link is followed on the way", [
    "platform/root-path.ts",
    "const flags = FOLDER_FLAGS | constants.O_NOFOLLOW;",
    "const flags = FOLDER_FLAGS;",
  ]),
  defence("T-FS-04", "test/engine/conflicts.test.ts", "names are compared without their case", [
    "core/names.ts",
    "if (isAscii(name)) return name.toLowerCase();",
    "if (isAscii(name)) return name;",
  ]),
  defence("T-SV-01", "test/contracts/primitives.test.ts", "unpacking stops at its length", [
    "platform/primitives.ts",
    "zstdDecompressSync(bytes, { maxOutputLength: lengthBytes })",
    "zstdDecompressSync(bytes)",
  ]),
  defence("T-SV-02", "test/contracts/wire.test.ts", "slow senders are given up", [
    "server/http/body.ts",
    "if (patience.spent) {",
    "if (false) {",
  ]),
  defence("T-SV-03", "test/contracts/hostile.test.ts", "an expired token is none", [
    "server/tokens.ts",
    "if (row.expiresMs !== null && row.expiresMs <= this.#clock.nowMs()) return undefined;",
    "",
  ]),
  defence("T-SV-03", "test/contracts/wire.test.ts", "new keys begin in one's own space alone", [
    "server/http/spaces.ts",
    "const space = await ownSpace(journals, session, id);",
    'const space = (await journals.space(id as SpaceRow["space"])) as SpaceRow;',
  ]),
  defence("T-SV-04", "test/contracts/accounts.test.ts", "of a token the hash is stored", [
    "server/tokens.ts",
    'return hash("sha256", token, "hex");',
    "return token;",
  ]),
  defence("T-SV-06", "test/e2e/logs.test.ts", "logs are masked", [
    "server/real-world.ts",
    "logger[write]({ event, ...masked(fields) });",
    "logger[write]({ event, ...fields });",
  ]),
  defence("T-SV-06", "test/e2e/logs.test.ts", "a broken answer is not the adapter's to print", [
    "server/http/request-log.ts",
    "return outgoing !== undefined;",
    "return false;",
  ]),
  defence("T-SV-07", "test/contracts/hostile.test.ts", "what comes in has a schema", [
    "server/app.ts",
    "new OpenAPIHono<Env>({ defaultHook: refuseInvalid })",
    "new OpenAPIHono<Env>({ defaultHook: () => undefined })",
  ]),
  defence("T-SV-08", "test/contracts/hostile.test.ts", "requests are read strictly", [
    "server/main.ts",
    "noDelay: true,",
    "noDelay: true,\n      insecureHTTPParser: true,",
  ]),
  defence("T-SV-09", "test/contracts/packs.test.ts", "packs are closed", [
    "server/chunks/closed-packs.ts",
    "const offsetBytes = await writer.append(closed);",
    "const offsetBytes = await writer.append(bytes);",
  ]),
];
