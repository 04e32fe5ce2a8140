import { toHex } from "#core/bytes.ts";
import { codeOf } from "#core/errors.ts";
import * as exchange from "#crypto/join-exchange.ts";
import { writePackage } from "#crypto/join-package.ts";
import { joinKeys, type JoinKeys } from "#crypto/keys.ts";
import type { HttpAccount } from "#platform/account-http.ts";
import { systemChance } from "#platform/chance.ts";
import { sealFor } from "#platform/hpke.ts";
import { systemPrimitives } from "#platform/primitives.ts";
import * as protocol from "#protocol/accounts.ts";
import { DeviceKeys, keysFile } from "./device-keys.ts";
import { drawSecret, writeJoinCode } from "./join-code.ts";
import type { LinkedFolder } from "./links.ts";
import { wordsAt } from "./recovery-words.ts";
import { callAs } from "./server-calls.ts";
import { noKeys } from "./space-door.ts";

const { hashes } = systemPrimitives;
const toBase64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64url");
const fromBase64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "base64url"));

/** A machine that asks to join, as a person sees it. */
export type Guest = {
  readonly name: string;
  /** The four words that it shows too, when nobody stands between the two. */
  readonly words: string;
};

/** How a join code ended: with a device of that name, with a no, or unused. */
export type JoinOutcome =
  | { readonly kind: "joined"; readonly name: string }
  | { readonly kind: "refused" }
  | { readonly kind: "expired" };

/** Whether to let a guest in. */
export type Decide = (guest: Guest, signal: AbortSignal) => Promise<boolean>;

/**
 * A code that lets one more machine sync this folder's space, once, within 10 minutes, while this
 * one is there to say yes. Dispose of it to take it back.
 */
export class Invitation implements AsyncDisposable {
  readonly code: string;
  readonly #folder: LinkedFolder;
  readonly #calls: HttpAccount;
  readonly #keys: JoinKeys;
  readonly #nonce: Uint8Array;
  readonly #commitment: Uint8Array;
  readonly #ended = new AbortController();
  #isOver = false;

  private constructor(folder: LinkedFolder, server: string, secret: string) {
    this.code = writeJoinCode(server, secret);
    this.#folder = folder;
    this.#calls = callAs(folder.link);
    this.#keys = joinKeys(hashes, secret);
    this.#nonce = systemChance.bytes(exchange.NONCE_BYTES);
    this.#commitment = exchange.commitmentTo(hashes, this.#nonce);
  }

  static async make(folder: LinkedFolder, server = folder.link.server): Promise<Invitation> {
    if (DeviceKeys.read(keysFile(folder.state)) === null) throw noKeys(folder.link);
    const made = new Invitation(folder, server, drawSecret());
    const commitment = toBase64(made.#commitment);
    await made.#calls.offerJoin({ locator: made.#locator, commitment });
    return made;
  }

  get #locator(): string {
    return toHex(this.#keys.locator);
  }

  /**
   * Waits for the other machine, and lets it in when `decide` says so. Throws WorldError `bad-join`
   * when somebody asked who does not know the code.
   */
  async wait(decide: Decide, stop: AbortSignal): Promise<JoinOutcome> {
    const signal = AbortSignal.any([stop, this.#ended.signal]);
    try {
      return await this.#wait(decide, signal);
    } catch (error) {
      this.#isOver ||= codeOf(error) === "not-found";
      if (codeOf(error) === "not-found") return { kind: "expired" };
      throw error;
    }
  }

  async #wait(decide: Decide, signal: AbortSignal): Promise<JoinOutcome> {
    const locator = this.#locator;
    const asked = await this.#calls.joinMessage(locator, protocol.JOIN_REQUEST, signal);
    const request = fromBase64(asked);
    const { name, publicKey } = exchange.readRequest(hashes, this.#keys, this.#commitment, request);
    const talk = { commitment: this.#commitment, request, nonce: this.#nonce };
    const transcript = exchange.transcriptOf(hashes, this.#keys, talk);
    await this.#answer(protocol.JOIN_NONCE, toBase64(this.#nonce));
    const words = wordsAt(exchange.wordsOf(hashes, this.#keys, transcript));
    if (!(await decide({ name, words }, signal))) {
      await this.#answer(protocol.JOIN_DECISION, protocol.JOIN_REFUSED);
      this.#isOver = true;
      return { kind: "refused" };
    }
    return { kind: "joined", name: await this.#letIn(name, publicKey, transcript) };
  }

  async #letIn(name: string, publicKey: Uint8Array, transcript: Uint8Array): Promise<string> {
    // Read anew: the running engine may have taken new keys of the account while this waited.
    const keys = DeviceKeys.read(keysFile(this.#folder.state));
    if (keys === null) throw noKeys(this.#folder.link);
    await keys.refresh(this.#calls);
    const { account, accountKey, identity } = keys.own;
    const heads = (await this.#calls.listSpaces()).map(({ space, head: sequence, chain }) => {
      return { space, sequence, chain };
    });
    const made = await this.#calls.enrolJoining({ locator: this.#locator, device: name });
    try {
      const { device, deviceName, token, account: accountName } = made;
      const { space } = this.#folder.link;
      const about = { account, accountKey, identity, seen: keys.seen, heads, space };
      const plain = writePackage({ ...about, device, deviceName, token, accountName });
      const shared = { psk: this.#keys.psk, pskId: this.#keys.locator };
      const info = exchange.packageContext(transcript);
      const sealed = await sealFor(publicKey, plain, info, shared);
      await this.#answer(protocol.JOIN_PACKAGE, toBase64(sealed));
      this.#isOver = true;
      return deviceName;
    } catch (error) {
      await this.#calls.revokeDevice(made.device).catch(() => undefined);
      throw error;
    }
  }

  async #answer(number: number, message: string): Promise<void> {
    await this.#calls.answerJoin({ locator: this.#locator, number, message });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    if (this.#isOver) return;
    this.#isOver = true;
    // What cannot be taken back runs out by itself.
    await this.#calls.withdrawJoin({ locator: this.#locator }).catch(() => undefined);
  }
}
