import { mutant, type Mutant } from "./mutation.ts";

const JOURNAL = "crypto/journal.ts";
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
  mutant("kept-bytes-trusted", "What was kept of a chunk is taken for it without a look (SL17).", [
    "sync/deltas.ts",
    "if (bytes !== null && toHex(digest.sha256(bytes)) === raw) return bytes;",
    "if (bytes !== null) return bytes;",
  ]),
  mutant("old-keys-accepted", "The server takes commits that are closed with old keys (SS4).", [
    FITNESS,
    "  if (keyEpoch !== keys.keyEpoch || base.sequence < keys.keyEpochSequence) {",
    "  if (keyEpoch === 0) {",
  ]),
];
