import { masked, mutant, type Mutant } from "./mutation.ts";

const JOURNAL = "crypto/journal.ts";
const CHUNK = "crypto/chunk.ts";
const FITNESS = "server/sealed-commits.ts";

/** What devices of a sealed space do not take on a server's word. */
export const SEALED_MUTANTS: readonly Mutant[] = [
  mutant("signature-unchecked", "Nobody looks whether a device signed its commit (SL9).", [
    JOURNAL,
    "if (!signatures.verify(signingKey, signed(facts), fromHex(signature))) return",
    "if (!SIGNATURE_HEX.test(signature)) return",
  ]),
  mutant(
    "base-unchecked",
    "Nobody looks whether a commit was planned on this journal's past: forks are taken (SL9).",
    [JOURNAL, '  if (chain === undefined) return "unknown-base";\n', ""],
    [
      JOURNAL,
      '  return chain === facts.base.chain ? "sound" : "other-base";',
      '  return chain === facts.epoch.toString() ? "other-base" : "sound";',
    ],
  ),
  mutant("old-keys-accepted", "The server takes commits that are closed with old keys (SS4).", [
    FITNESS,
    "  if (keyEpoch !== keys.keyEpoch || base.sequence < keys.keyEpochSequence) {",
    "  if (keyEpoch === 0) {",
  ]),
  mutant(
    "revisions-unjudged",
    "A device applies changes of other revisions than those that are there (SL13).",
    ["sync/follow.ts", "        this.#judging?.before(entry);\n", ""],
  ),
  mutant("tree-unjudged", "A device applies entries that break the tree (SL13).", [
    "sync/follow.ts",
    "        this.#judging?.after(entry);\n",
    "",
  ]),
  mutant("old-epoch-accepted", "A device takes what is closed with old keys (SS4).", [
    JOURNAL,
    '  if (facts.epoch !== epoch.number) return "other-epoch";\n',
    "",
  ]),
  mutant("old-base-accepted", "A device takes what was planned before the present keys (SS4).", [
    JOURNAL,
    '  if (facts.base.sequence < epoch.since) return "base-before-epoch";\n',
    "",
  ]),
  masked(
    "other-bytes-opened",
    mutant("raw-hash-unchecked", "An opened chunk is taken for the one that was asked for.", [
      CHUNK,
      "  if (toHex(hashes.sha256([raw])) !== entry.raw) throw bad",
      "  if (entry.raw.length === 0) throw bad",
    ]),
  ),
  masked(
    "raw-hash-unchecked",
    mutant(
      "other-bytes-opened",
      "Chunks open whatever was done to them, and are put in place as they are (DL3).",
      [
        "sim/quick-primitives.ts",
        "        const isWhole = isSame(tagOf(use, ciphertext), sealed.subarray(end));",
        "        const isWhole = sealed.length > 0;",
      ],
      ["sync/stage.ts", "    return this.#isChunk(chunk, bytes);", "    return bytes.length > 0;"],
      [
        "sync/stage.ts",
        "    if (hash === content.sha256) return { path, stat };",
        "    if (hash !== null) return { path, stat };",
      ],
    ),
  ),
];
