import { entropyToMnemonic, mnemonicToEntropy } from "@scure/bip39";
import { wordlist } from "@scure/bip39/wordlists/english.js";
import { wrongUsage } from "./exit.ts";
import { print } from "./output.ts";

const WORDS = 24;

/** 32 random bytes as 24 words (BIP 39), lower case, a space between. */
export function writeWords(entropy: Uint8Array): string {
  return entropyToMnemonic(entropy, wordlist);
}

/** The words of these numbers, as two people compare them: `apple banana cherry date`. */
export function wordsAt(numbers: readonly number[]): string {
  return numbers.map((number) => wordlist[number] ?? "").join(" ");
}

/** The bytes that the words stand for. Throws CommandError that says what is wrong with them. */
export function readWords(text: string): Uint8Array {
  const words = text.trim().toLowerCase().split(/\s+/);
  if (words.length !== WORDS) {
    throw wrongUsage(`These are ${words.length} words, there have to be ${WORDS}.`);
  }
  const at = words.findIndex((word) => !wordlist.includes(word));
  if (at !== -1) {
    throw wrongUsage(`Word ${at + 1}, ${words[at]}, is none of the list: look at it again.`);
  }
  try {
    return mnemonicToEntropy(words.join(" "), wordlist);
  } catch {
    throw wrongUsage("One of the words, or their order, is wrong: their checksum does not fit.");
  }
}

/** Six lines of four, and what they are for. */
export function printWords(words: string): void {
  const all = words.split(" ");
  print("Recovery words, shown this once. Write them down and keep them safe:\n");
  for (let at = 0; at < all.length; at += 4) {
    const line = all.slice(at, at + 4).map((word, index) => {
      return `${String(at + index + 1).padStart(2)} ${word.padEnd(10)}`;
    });
    print(`  ${line.join("  ").trimEnd()}`);
  }
  print("\nWho has them can open the account, also without its password.");
}
