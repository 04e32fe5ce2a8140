import * as opaque from "@serenity-kit/opaque";
import { WorldError } from "#core/errors.ts";
import type { JournalStore } from "./metadata/port.ts";
import type { Secrets } from "./secrets.ts";

/** What OPAQUE's library throws is no news about this machine: the message made no sense. */
function orNull<T>(work: () => T): T | null {
  try {
    return work();
  } catch {
    return null;
  }
}

/** The record of a password that was drawn here and is known to nobody. */
function drawRecord(serverSetup: string): string {
  const password = opaque.server.createSetup();
  const { clientRegistrationState, registrationRequest } = opaque.client.startRegistration({
    password,
  });
  const { registrationResponse } = opaque.server.createRegistrationResponse({
    serverSetup,
    userIdentifier: password,
    registrationRequest,
  });
  return opaque.client.finishRegistration({
    password,
    registrationResponse,
    clientRegistrationState,
    // There is nothing to guess at.
    keyStretching: { "argon2id-custom": { iterations: 1, memory: 8, parallelism: 1 } },
  }).registrationRecord;
}

/**
 * The server's side of passwords that it never sees: OPAQUE, RFC 9807, by @serenity-kit/opaque. An
 * account is known to it by its key. Answers are null where a message is none.
 */
export class Opaque {
  /**
   * What stands in the place of a record that there is none of. The library would do so by itself,
   * and be quicker by what reading a record takes: that tells which accounts there are.
   */
  readonly nobodys: string;
  readonly #setup: string;

  /** `setup` is what the library draws: the server's key, and what its answers come of. */
  constructor(setup: string, nobodys: string) {
    this.#setup = setup;
    this.nobodys = nobodys;
  }

  /** The set-up is drawn once a database and kept there, closed with the master key. */
  static async open(journals: JournalStore, secrets: Secrets): Promise<Opaque> {
    await opaque.ready;
    const drawn = secrets.close("opaque setup", opaque.server.createSetup());
    const kept = await journals.drawOnce("opaque setup", drawn);
    let setup: string;
    try {
      setup = secrets.open("opaque setup", kept);
    } catch (cause) {
      throw new WorldError(
        "bad-master-key",
        "The database was made with another master key: every server of a database needs the " +
          "same master key, name its file with --key-file.",
        { cause },
      );
    }
    return new Opaque(setup, drawRecord(setup));
  }

  /** First answer of a registration. */
  register(userIdentifier: string, registrationRequest: string): string | null {
    const serverSetup = this.#setup;
    const asked = { serverSetup, userIdentifier, registrationRequest };
    return orNull(() => opaque.server.createRegistrationResponse(asked).registrationResponse);
  }

  /** First answer of a sign-in; with nobody's record it looks like any other, and leads nowhere. */
  startLogin(
    userIdentifier: string,
    startLoginRequest: string,
    registrationRecord: string,
  ): { readonly serverLoginState: string; readonly loginResponse: string } | null {
    const serverSetup = this.#setup;
    const asked = { serverSetup, userIdentifier, startLoginRequest, registrationRecord };
    return orNull(() => opaque.server.startLogin(asked));
  }

  /** True when whoever made the last message knows the password. */
  finishLogin(serverLoginState: string, finishLoginRequest: string): boolean {
    const said = { serverLoginState, finishLoginRequest };
    return orNull(() => opaque.server.finishLogin(said)) !== null;
  }
}
