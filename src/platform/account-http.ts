import type { z } from "zod";
import type { DeviceId, NodeId, SpaceId } from "#core/ids.ts";
import {
  AccountVault,
  DeviceList,
  Enrolled,
  JoinCode,
  JoinMessage,
  LoginAnswer,
  RecoveryAnswer,
  RegistrationAnswer,
  SignedUp,
  TokenAnswer,
} from "#protocol/accounts.ts";
import type {
  DeviceRow,
  Enrol,
  Join,
  JoinAnswer,
  JoinDevice,
  JoinNext,
  JoinOffer,
  JoinWithdrawal,
  KeyringUpdate,
  Login,
  PasswordChange,
  Recovery,
  Registration,
  SignUp,
  TokenRequest,
} from "#protocol/accounts.ts";
import {
  MAX_FEED_WAIT_MS,
  MAX_JSON_BYTES,
  MAX_PAGE,
  MAX_SMALL_JSON_BYTES,
} from "#protocol/limits.ts";
import { fillRoute } from "#protocol/routes.ts";
import { ServerAnswer } from "#protocol/server.ts";
import { RevisionContent, RevisionList, SpaceList, SpaceRow, TrashList } from "#protocol/spaces.ts";
import type { SpaceRequest } from "#protocol/spaces.ts";
import { jsonBody, ServerHttp } from "./server-http.ts";
import type { ServerWorld } from "./server-http.ts";

/** What a server's answer may take beyond the time that it was asked to wait. */
const IDLE_MS = 30_000;

/** Pages of a list that are followed; a server that names ever more is not believed. */
const MAX_PAGES = 1_000;

export type PageOf = { readonly before?: number; readonly limit?: number };

/** What the command line asks of a server: accounts, devices, spaces and their history. */
export class HttpAccount {
  readonly #server: ServerHttp;

  constructor(world: ServerWorld) {
    this.#server = new ServerHttp(world);
  }

  /** What the server is, and its key service's public keys. */
  async server(): Promise<z.output<typeof ServerAnswer>> {
    return this.#get(fillRoute("server", {}), ServerAnswer);
  }

  /** First half of choosing a password: see `sign-in.ts`. */
  async register(wish: z.input<typeof Registration>): Promise<z.output<typeof RegistrationAnswer>> {
    return this.#post(fillRoute("registrations", {}), wish, RegistrationAnswer);
  }

  /** First half of a sign-in. Throws WorldError `too-many-requests`. */
  async startLogin(wish: z.input<typeof Login>): Promise<z.output<typeof LoginAnswer>> {
    return this.#post(fillRoute("logins", {}), wish, LoginAnswer);
  }

  async startRecovery(wish: z.input<typeof Recovery>): Promise<z.output<typeof RecoveryAnswer>> {
    return this.#post(fillRoute("recoveries", {}), wish, RecoveryAnswer);
  }

  /** What the account keeps at the server closed; for devices only. */
  async vault(): Promise<AccountVault> {
    return this.#get(fillRoute("vault", {}), AccountVault);
  }

  /** Throws WorldError `conflict` when another device was quicker. */
  async putKeyring(update: z.input<typeof KeyringUpdate>): Promise<void> {
    await this.#replace("PUT", fillRoute("keyring", {}), update);
  }

  /** Throws WorldError `bad-credentials`, `conflict`. */
  async changePassword(change: z.input<typeof PasswordChange>): Promise<void> {
    await this.#replace("POST", fillRoute("password", {}), change);
  }

  /** Begins a sealed space's next keys. Throws WorldError `conflict`. */
  async beginKeyEpoch(space: SpaceId, keyEpoch: number): Promise<SpaceRow> {
    return this.#post(fillRoute("keyEpoch", { space }), { keyEpoch }, SpaceRow);
  }

  /** Throws WorldError `account-taken`. */
  async signUp(wish: z.input<typeof SignUp>): Promise<z.output<typeof SignedUp>> {
    return this.#post(fillRoute("accounts", {}), wish, SignedUp);
  }

  /**
   * Makes this machine a device of the account. Throws WorldError `bad-credentials`, `conflict`.
   */
  async enrol(wish: z.input<typeof Enrol>): Promise<z.output<typeof Enrolled>> {
    return this.#post(fillRoute("devices", {}), wish, Enrolled);
  }

  /** A token for a program. Throws WorldError `bad-credentials`. */
  async createToken(wish: z.input<typeof TokenRequest>): Promise<z.output<typeof TokenAnswer>> {
    return this.#post(fillRoute("tokens", {}), wish, TokenAnswer);
  }

  /** Begins to let one more machine in: see `crypto/join-exchange.ts`. */
  async offerJoin(offer: z.input<typeof JoinOffer>): Promise<z.output<typeof JoinCode>> {
    return this.#post(fillRoute("joinCodes", {}), offer, JoinCode);
  }

  /** Throws WorldError `not-found` when the code has expired, `conflict`. */
  async answerJoin(answer: z.input<typeof JoinAnswer>): Promise<void> {
    await this.#tell(fillRoute("joinAnswers", {}), answer);
  }

  /** A device for the machine that asked. Throws WorldError `not-found`, `conflict`. */
  async enrolJoining(wish: z.input<typeof JoinDevice>): Promise<z.output<typeof Enrolled>> {
    return this.#post(fillRoute("joinDevices", {}), wish, Enrolled);
  }

  async withdrawJoin(wish: z.input<typeof JoinWithdrawal>): Promise<void> {
    await this.#replace("POST", fillRoute("joinWithdrawals", {}), wish);
  }

  /** Throws WorldError `not-found` when the code is wrong, used or too old. */
  async requestJoin(wish: z.input<typeof Join>): Promise<void> {
    await this.#tell(fillRoute("join", {}), wish);
  }

  /**
   * A message of the other machine, waited for until the code has expired (WorldError `not-found`)
   * or the signal aborts.
   */
  async joinMessage(locator: string, number: number, signal?: AbortSignal): Promise<string> {
    const path = fillRoute("joinNext", {});
    for (;;) {
      const wish: z.input<typeof JoinNext> = { locator, number, waitMs: MAX_FEED_WAIT_MS };
      const call = {
        method: "POST" as const,
        path,
        body: jsonBody(wish),
        repeatable: true,
        idleMs: MAX_FEED_WAIT_MS + IDLE_MS,
        maxAnswerBytes: MAX_SMALL_JSON_BYTES,
      };
      const { message } = await this.#server.json(call, JoinMessage, signal);
      if (message !== null) return message;
      signal?.throwIfAborted();
    }
  }

  async listSpaces(): Promise<SpaceRow[]> {
    const pages = this.#pages(fillRoute("spaces", {}), SpaceList);
    return (await Array.fromAsync(pages)).flatMap((page) => page.spaces);
  }

  /** Throws WorldError `conflict` when the account has a space of that name. */
  async createSpace(wish: z.input<typeof SpaceRequest>): Promise<SpaceRow> {
    return this.#post(fillRoute("spaces", {}), wish, SpaceRow);
  }

  /** One space with its head as it is now. */
  async space(space: SpaceId): Promise<SpaceRow> {
    return this.#get(fillRoute("space", { space }), SpaceRow);
  }

  async devices(): Promise<z.output<typeof DeviceRow>[]> {
    const pages = this.#pages(fillRoute("devices", {}), DeviceList);
    return (await Array.fromAsync(pages)).flatMap((page) => page.devices);
  }

  /** Its token opens nothing from now on. */
  async revokeDevice(device: DeviceId): Promise<void> {
    await this.#server.empty({
      method: "DELETE",
      path: fillRoute("device", { device }),
      repeatable: true,
      maxAnswerBytes: 0,
    });
  }

  /** A page of a node's states, newest first; the next page is the one `before` its `next`. */
  async revisions(
    space: SpaceId,
    node: NodeId,
    page: PageOf = {},
  ): Promise<z.output<typeof RevisionList>> {
    return this.#get(fillRoute("revisions", { space, node }) + queryOf(page), RevisionList);
  }

  async revisionContent(
    space: SpaceId,
    node: NodeId,
    sequence: number,
  ): Promise<z.output<typeof RevisionContent>> {
    return this.#get(fillRoute("revision", { space, node, sequence }), RevisionContent);
  }

  /** A page of deleted nodes, latest deletion first. */
  async trash(space: SpaceId, page: PageOf = {}): Promise<z.output<typeof TrashList>> {
    return this.#get(fillRoute("trash", { space }) + queryOf(page), TrashList);
  }

  async #get<Schema extends z.ZodType>(path: string, schema: Schema): Promise<z.output<Schema>> {
    return this.#server.json(
      { method: "GET", path, repeatable: true, maxAnswerBytes: MAX_JSON_BYTES },
      schema,
    );
  }

  // Not repeated by itself: what was made by a call whose answer got lost would be made twice.
  async #post<Schema extends z.ZodType>(
    path: string,
    body: unknown,
    schema: Schema,
  ): Promise<z.output<Schema>> {
    return this.#server.json(
      {
        method: "POST",
        path,
        body: jsonBody(body),
        repeatable: false,
        maxAnswerBytes: MAX_JSON_BYTES,
      },
      schema,
    );
  }

  async #replace(method: "PUT" | "POST", path: string, body: unknown): Promise<void> {
    const bounds = { repeatable: false, maxAnswerBytes: 0 };
    await this.#server.empty({ method, path, body: jsonBody(body), ...bounds });
  }

  /** For what the server knows again when it is sent twice. */
  async #tell(path: string, body: unknown): Promise<void> {
    const bounds = { repeatable: true, maxAnswerBytes: 0 };
    await this.#server.empty({ method: "POST", path, body: jsonBody(body), ...bounds });
  }

  async *#pages<Schema extends z.ZodType<{ next?: string | undefined }>>(
    path: string,
    schema: Schema,
  ): AsyncGenerator<z.output<Schema>> {
    let after: string | undefined;
    for (let page = 0; page < MAX_PAGES; page++) {
      const query = new URLSearchParams({ limit: String(MAX_PAGE) });
      if (after !== undefined) query.set("after", after);
      const answer = await this.#get(`${path}?${query.toString()}`, schema);
      yield answer;
      after = answer.next;
      if (after === undefined) return;
    }
  }
}

function queryOf({ before, limit }: PageOf): string {
  const query = new URLSearchParams();
  if (before !== undefined) query.set("before", String(before));
  if (limit !== undefined) query.set("limit", String(limit));
  const text = query.toString();
  return text === "" ? "" : `?${text}`;
}
