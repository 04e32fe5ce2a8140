// Bytes for tests and measurements: the same on every machine and for all time, because frozen cuts
// are made from them.

/** Bytes that look random, from a 32-bit seed (SplitMix32, after Steele and others 2014). */
export function randomSample(seed: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = seed | 0;
  for (let at = 0; at < length; at += 4) {
    state = (state + 0x9e3779b9) | 0;
    let word = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    word = Math.imul(word ^ (word >>> 15), 0x735a2d97);
    word ^= word >>> 15;
    for (let byte = 0; byte < 4 && at + byte < length; byte++)
      bytes[at + byte] = word >>> (8 * byte);
  }
  return bytes;
}

const WORDS = (
  "the of and to in that is was for it with as his on be at by this had not are but from or " +
  "folder device change write again between every nothing question morning paper"
).split(" ");

/** ASCII words and lines of varying length, from a 32-bit seed. */
export function textSample(seed: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const choices = randomSample(seed, length);
  let at = 0;
  for (let next = 0; at < length; next++) {
    const choice = choices[next]!;
    const word = WORDS[choice % WORDS.length]!;
    for (let index = 0; index < word.length && at < length; index++) {
      bytes[at++] = word.charCodeAt(index);
    }
    if (at < length) bytes[at++] = choice < 16 ? 0x0a : 0x20;
  }
  return bytes;
}
