import { assert } from "#core/assert.ts";
import { concat, utf8 } from "#core/bytes.ts";
import { WorldError } from "#core/errors.ts";
import type { Chance } from "#core/world.ts";
import { FieldReader, u16, u8 } from "./fields.ts";
import { plainLabel } from "./labels.ts";
import { isZero } from "./padding.ts";
import type { Hashes } from "./primitives.ts";
import { ELEMENT_BYTES, SCALAR_BYTES, type Ristretto } from "./ristretto.ts";

/**
 * The verifiable oblivious pseudorandom function of RFC 9497, ristretto255-SHA512: the key service
 * computes F(its key, our input) and learns neither input nor result, and proves that it used the
 * key whose public half we know. One proof a batch (section 2.2).
 */

/** Inputs in one batch. */
export const MAX_BATCH = 512;

const PROOF_BYTES = 2 * SCALAR_BYTES;

export type OprfWorld = {
  readonly hashes: Hashes;
  readonly ristretto: Ristretto;
  readonly chance: Chance;
};

/** Mode 1 is the verifiable one. */
const SUITE = concat([utf8("OPRFV1-"), u8(1), utf8("-ristretto255-SHA512")]);
const TO_GROUP = concat([utf8("HashToGroup-"), SUITE]);
const TO_SCALAR = concat([utf8("HashToScalar-"), SUITE]);
const TO_KEY = concat([utf8("DeriveKeyPair"), SUITE]);
const TO_SEED = concat([utf8("Seed-"), SUITE]);

const UNIFORM_BYTES = 64;
const SHA512_BLOCK = new Uint8Array(128);

/** With the two bytes of its length before it. */
function sized(bytes: Uint8Array): Uint8Array[] {
  return [u16(bytes.length), bytes];
}

/** expand_message_xmd of RFC 9380, section 5.3.1, with SHA-512, to 64 bytes: one round. */
function expand(hashes: Hashes, message: readonly Uint8Array[], purpose: Uint8Array): Uint8Array {
  const suffix = [purpose, u8(purpose.length)];
  const seed = hashes.sha512([SHA512_BLOCK, ...message, u16(UNIFORM_BYTES), u8(0), ...suffix]);
  return hashes.sha512([seed, u8(1), ...suffix]);
}

function toScalar(
  { hashes, ristretto }: OprfWorld,
  message: readonly Uint8Array[],
  purpose = TO_SCALAR,
): Uint8Array {
  return ristretto.scalars.reduce(expand(hashes, message, purpose));
}

function randomScalar({ ristretto, chance }: OprfWorld): Uint8Array {
  for (;;) {
    const scalar = ristretto.scalars.reduce(chance.bytes(UNIFORM_BYTES));
    if (!isZero(scalar)) return scalar;
  }
}

/** A product that is the identity only if somebody meant it to be. */
function product(element: Uint8Array | null): Uint8Array {
  if (element === null) throw bad("a product is the identity");
  return element;
}

/** What the key service has of one epoch. */
export type EvaluationKey = {
  readonly epoch: number;
  readonly secret: Uint8Array;
  readonly publicKey: Uint8Array;
};

/** DeriveKeyPair of RFC 9497, section 3.2.1. */
export function deriveKeyPair(
  world: OprfWorld,
  seed: Uint8Array,
  purpose: Uint8Array,
): { secret: Uint8Array; publicKey: Uint8Array } {
  for (let counter = 0; counter < 256; counter++) {
    const secret = toScalar(world, [seed, ...sized(purpose), u8(counter)], TO_KEY);
    if (isZero(secret)) continue;
    return { secret, publicKey: product(world.ristretto.elements.multiplyGenerator(secret)) };
  }
  throw new WorldError("bad-key", "No key comes of this seed; draw another.");
}

/** The key of an epoch, from 32 random bytes that never leave the key service. */
export function evaluationKey(world: OprfWorld, epoch: number, seed: Uint8Array): EvaluationKey {
  assert(seed.length === 32, `a seed of ${seed.length} bytes`);
  return { epoch, ...deriveKeyPair(world, seed, plainLabel(`oprf-epoch-${epoch}`)) };
}

/** Composites of a batch: one linear combination of all pairs, with weights nobody chooses. */
function combine(
  world: OprfWorld,
  publicKey: Uint8Array,
  pairs: readonly (readonly [blinded: Uint8Array, evaluated: Uint8Array])[],
  sides: { readonly evaluated: boolean },
): { blinded: Uint8Array; evaluated: Uint8Array | null } {
  const { elements } = world.ristretto;
  const seed = world.hashes.sha512([...sized(publicKey), ...sized(TO_SEED)]);
  let sums: { blinded: Uint8Array; evaluated: Uint8Array | null } | null = null;
  for (const [at, [blinded, evaluated]] of pairs.entries()) {
    const transcript = [...sized(seed), u16(at), ...sized(blinded), ...sized(evaluated)];
    const weight = toScalar(world, [...transcript, utf8("Composite")]);
    const left = product(elements.multiply(weight, blinded));
    const right = sides.evaluated ? product(elements.multiply(weight, evaluated)) : null;
    sums =
      sums === null
        ? { blinded: left, evaluated: right }
        : {
            blinded: elements.add(sums.blinded, left),
            evaluated:
              right === null || sums.evaluated === null
                ? null
                : elements.add(sums.evaluated, right),
          };
  }
  assert(sums !== null, "an empty batch");
  return sums;
}

function challenge(world: OprfWorld, points: readonly Uint8Array[]): Uint8Array {
  return toScalar(world, [...points.flatMap(sized), utf8("Challenge")]);
}

/** What the key service is asked: `[epoch 2][count 2]` and 32 bytes for each input. */
export type EvaluationRequest = { readonly epoch: number; readonly blinded: readonly Uint8Array[] };

/** Throws WorldError `bad-evaluation` on anything but 1 to MAX_BATCH elements. */
export function readRequest({ ristretto }: OprfWorld, request: Uint8Array): EvaluationRequest {
  const fields = new FieldReader(request, "bad-evaluation", "A question to the key service");
  const epoch = fields.u16();
  const count = fields.u16();
  if (count === 0 || count > MAX_BATCH) throw fields.bad(`it has ${count} inputs`);
  const blinded = Array.from({ length: count }, () => fields.bytes(ELEMENT_BYTES));
  fields.end();
  if (!blinded.every((element) => ristretto.elements.isElement(element))) {
    throw fields.bad("an input is no element");
  }
  return { epoch, blinded };
}

/** The key service's answer: 32 bytes for each input, and the proof. */
export function evaluate(
  world: OprfWorld,
  key: EvaluationKey,
  { epoch, blinded }: EvaluationRequest,
): Uint8Array {
  const { elements, scalars } = world.ristretto;
  assert(epoch === key.epoch, `a question of epoch ${epoch} for the key of ${key.epoch}`);
  const evaluated = blinded.map((element) => product(elements.multiply(key.secret, element)));
  const pairs = blinded.map((element, at) => [element, evaluated[at]!] as const);
  const sum = combine(world, key.publicKey, pairs, { evaluated: false });
  const evaluatedSum = product(elements.multiply(key.secret, sum.blinded));
  const random = randomScalar(world);
  const c = challenge(world, [
    key.publicKey,
    sum.blinded,
    evaluatedSum,
    product(elements.multiplyGenerator(random)),
    product(elements.multiply(random, sum.blinded)),
  ]);
  const s = scalars.subtract(random, scalars.multiply(c, key.secret));
  return concat([...evaluated, c, s]);
}

/** One batch between question and answer. The blinds stay inside. */
export class Question {
  /** What the key service gets. */
  readonly request: Uint8Array;
  readonly #world: OprfWorld;
  readonly #publicKey: Uint8Array;
  readonly #asked: readonly { input: Uint8Array; blind: Uint8Array; blinded: Uint8Array }[];

  /**
   * `inputs` are 1 to MAX_BATCH; `publicKey` is the pinned one of that epoch. Throws WorldError
   * `bad-evaluation` when it is no element.
   */
  constructor(
    world: OprfWorld,
    { epoch, publicKey }: { readonly epoch: number; readonly publicKey: Uint8Array },
    inputs: readonly Uint8Array[],
  ) {
    assert(inputs.length > 0 && inputs.length <= MAX_BATCH, `a batch of ${inputs.length}`);
    const { elements } = world.ristretto;
    if (!elements.isElement(publicKey)) throw bad("the pinned key is no element");
    this.#world = world;
    this.#publicKey = publicKey;
    this.#asked = inputs.map((input) => {
      const blind = randomScalar(world);
      const element = elements.fromUniform(expand(world.hashes, [input], TO_GROUP));
      return { input, blind, blinded: product(elements.multiply(blind, element)) };
    });
    const blinded = this.#asked.map((one) => one.blinded);
    this.request = concat([u16(epoch), u16(inputs.length), ...blinded]);
  }

  /**
   * 64 bytes for each input. Throws WorldError `bad-evaluation` when the answer was not made with
   * the pinned key, for these inputs, in this order.
   */
  finish(answer: Uint8Array): Uint8Array[] {
    const { hashes, ristretto } = this.#world;
    const { elements, scalars } = ristretto;
    const fields = new FieldReader(answer, "bad-evaluation", "An answer of the key service");
    const evaluated = this.#asked.map(() => fields.bytes(ELEMENT_BYTES));
    const proof = fields.bytes(PROOF_BYTES);
    fields.end();
    if (!evaluated.every((element) => elements.isElement(element))) {
      throw fields.bad("one of its values is no element");
    }
    this.#verify(evaluated, proof);
    return this.#asked.map(({ input, blind }, at) => {
      const unblinded = product(elements.multiply(scalars.invert(blind), evaluated[at]!));
      return hashes.sha512([...sized(input), ...sized(unblinded), utf8("Finalize")]);
    });
  }

  #verify(evaluated: readonly Uint8Array[], proof: Uint8Array): void {
    const world = this.#world;
    const { elements } = world.ristretto;
    const c = proof.subarray(0, SCALAR_BYTES);
    const s = proof.subarray(SCALAR_BYTES);
    if (!isScalar(world, c) || !isScalar(world, s)) throw bad("its proof is no proof");
    const pairs = this.#asked.map(({ blinded }, at) => [blinded, evaluated[at]!] as const);
    const sum = combine(world, this.#publicKey, pairs, { evaluated: true });
    assert(sum.evaluated !== null, "both sides were asked for");
    const expected = challenge(world, [
      this.#publicKey,
      sum.blinded,
      sum.evaluated,
      elements.add(
        product(elements.multiplyGenerator(s)),
        product(elements.multiply(c, this.#publicKey)),
      ),
      elements.add(
        product(elements.multiply(s, sum.blinded)),
        product(elements.multiply(c, sum.evaluated)),
      ),
    ]);
    if (!world.hashes.equal(expected, c)) throw bad("it was not made with the pinned key");
  }
}

/** Canonical, below the order. */
function isScalar({ hashes, ristretto }: OprfWorld, bytes: Uint8Array): boolean {
  const wide = new Uint8Array(UNIFORM_BYTES);
  wide.set(bytes, 0);
  return hashes.equal(ristretto.scalars.reduce(wide), bytes);
}

function bad(detail: string): WorldError {
  return new WorldError("bad-evaluation", `The key service cannot be used: ${detail}.`);
}
