import { toHex } from "#core/bytes.ts";
import { spaceId, type SpaceId } from "#core/ids.ts";
import type { Chance, Clock } from "#core/world.ts";
import { REST_SPACE, type SpaceKind } from "#protocol/spaces.ts";
import type { AccountRow, JournalStore, SpaceKeys, SpaceRow } from "./metadata/port.ts";
import { ProblemError } from "./problem-error.ts";

/** Spaces that an account may have. */
const MAX_SPACES = 200;

const CUT_KEY_BYTES = 48;
const FIRST_KEY_EPOCH = 1;

export type SpaceParts = {
  readonly journals: JournalStore;
  readonly clock: Clock;
  readonly chance: Chance;
};

export type SpaceWish = {
  readonly name: string;
  readonly kind: SpaceKind;
  readonly folding: boolean;
  /** The id that the device has drawn; the server draws one when it has not. */
  readonly space?: SpaceId | undefined;
};

/** Makes a space. Throws ProblemError `conflict` when the name is taken or there are too many. */
export async function makeSpace(
  parts: SpaceParts,
  account: AccountRow,
  { name, kind, folding, space }: SpaceWish,
): Promise<SpaceRow> {
  const keys: SpaceKeys =
    kind === "plain" ? { kind } : { kind, keyEpoch: FIRST_KEY_EPOCH, keyEpochSequence: 0 };
  const row: SpaceRow = {
    ...keys,
    id: space ?? spaceId(toHex(parts.chance.bytes(16))),
    account: account.id,
    name,
    folding,
    epoch: toHex(parts.chance.bytes(16)),
    cutKey: await parts.journals.drawOnce("cut key", toHex(parts.chance.bytes(CUT_KEY_BYTES))),
    createdMs: parts.clock.nowMs(),
  };
  if ((await parts.journals.spaces(account.id)).length >= MAX_SPACES) {
    throw new ProblemError(
      "conflict",
      `The account ${account.name} has ${MAX_SPACES} spaces, the most there may be; use one.`,
    );
  }
  if (!(await parts.journals.createSpace(row))) {
    throw new ProblemError(
      "conflict",
      `The account ${account.name} has a space named ${name} already; choose another name.`,
    );
  }
  return row;
}

/**
 * The account's plain space of that name. Throws ProblemError `conflict` when it is a sealed one:
 * what a program asks of a path, the server cannot answer there.
 */
export async function findPlainSpace(
  journals: JournalStore,
  account: AccountRow,
  name: string,
): Promise<SpaceRow | undefined> {
  const found = (await journals.spaces(account.id)).find((space) => space.name === name);
  if (found?.kind !== "sealed") return found;
  throw new ProblemError(
    "conflict",
    `The space ${name} is sealed: only devices can read it; use a plain space.`,
  );
}

/**
 * Begins the space's next key epoch; asking again for the present one changes nothing. Throws
 * ProblemError `conflict` for any other, and in a plain space.
 */
export async function beginKeyEpoch(
  journals: JournalStore,
  space: SpaceRow,
  keyEpoch: number,
): Promise<SpaceRow> {
  const began = await journals.setKeyEpoch(space.id, keyEpoch);
  const now = (await journals.space(space.id)) ?? space;
  if (began || (now.kind === "sealed" && now.keyEpoch === keyEpoch)) return now;
  const detail = now.kind === "plain" ? "has no keys" : `is at key epoch ${now.keyEpoch}`;
  throw new ProblemError("conflict", `The space ${space.id} ${detail}, not before ${keyEpoch}.`);
}

/**
 * The plain space that the REST calls write to. The one named `files` is made on the first write;
 * another name must exist: throws ProblemError `not-found`.
 */
export async function spaceForWriting(
  parts: SpaceParts,
  account: AccountRow,
  name: string,
): Promise<SpaceRow> {
  const found = await findPlainSpace(parts.journals, account, name);
  if (found !== undefined) return found;
  if (name !== REST_SPACE) {
    throw new ProblemError(
      "not-found",
      `The account ${account.name} has no space named ${name}; make it with POST /v1/spaces.`,
    );
  }
  try {
    return await makeSpace(parts, account, { name, kind: "plain", folding: true });
  } catch (error) {
    // Two first writes at once: the other one made it.
    const made = await findPlainSpace(parts.journals, account, name);
    if (made === undefined) throw error;
    return made;
  }
}
