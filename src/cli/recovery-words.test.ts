import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { CommandError } from "./exit.ts";
import { readWords, writeWords } from "./recovery-words.ts";

// BIP 39's own vectors, by trezor/python-mnemonic.
const ZEROS = `${"abandon ".repeat(23)}art`;
const VECTORS: readonly [entropy: string, words: string][] = [
  ["00".repeat(32), ZEROS],
  ["ff".repeat(32), `${"zoo ".repeat(23)}vote`],
  [
    "68a79eaca2324873eacc50cb9c6eca8cc68ea5d936f98787c60c7ebc74e6ce7c",
    "hamster diagram private dutch cause delay private meat slide toddler razor book happy " +
      "fancy gospel tennis maple dilemma loan word shrug inflict delay length",
  ],
];

function refuses(text: string, pattern: RegExp): void {
  assert.throws(
    () => readWords(text),
    (error) => {
      assert.ok(error instanceof CommandError, String(error));
      assert.match(error.message, pattern);
      return true;
    },
  );
}

test("SA5: recovery words are 24 words of BIP 39, and come back as the bytes they stand for", () => {
  for (const [entropy, words] of VECTORS) {
    assert.equal(writeWords(Buffer.from(entropy, "hex")), words);
    assert.equal(Buffer.from(readWords(words)).toString("hex"), entropy);
  }
  const drawn = randomBytes(32);
  assert.deepEqual(Buffer.from(readWords(writeWords(drawn))), drawn);
});

test("SA5: words may be typed in any case and with any space between them", () => {
  const typed = `\n ${ZEROS.toUpperCase().replaceAll(" ", "\t \n")} `;
  assert.deepEqual(readWords(typed), new Uint8Array(32));
});

test("SA5: what is wrong with words that are none is said", () => {
  refuses("", /have to be 24/);
  refuses(`${ZEROS} art`, /25 words/);
  refuses(ZEROS.replace("abandon", "abandonn"), /Word 1, abandonn,/);
  refuses(ZEROS.replace(/art$/, "zoo"), /checksum/);
  const [first = "", second = "", ...rest] = VECTORS[2]![1].split(" ");
  refuses([second, first, ...rest].join(" "), /order/);
});
