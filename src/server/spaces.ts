import { toHex } from "#core/bytes.ts";
import { spaceId } from "#core/ids.ts";
import type { Chance, Clock } from "#core/world.ts";
import { REST_SPACE } from "#protocol/spaces.ts";
import type { AccountRow, JournalStore, SpaceRow } from "./metadata/port.ts";
import { ProblemError } from "./problem-error.ts";

/** Spaces that an account may have. */
const MAX_SPACES = 200;

const CUT_KEY_BYTES = 48;

export type SpaceParts = {
  readonly journals: JournalStore;
  readonly clock: Clock;
  readonly chance: Chance;
};

export type SpaceWish = {
  readonly name: string;
  readonly kind: "plain";
  readonly folding: boolean;
};

/** Makes a space. Throws ProblemError `conflict` when the name is taken or there are too many. */
export async function makeSpace(
  parts: SpaceParts,
  account: AccountRow,
  { name, kind, folding }: SpaceWish,
): Promise<SpaceRow> {
  const row: SpaceRow = {
    id: spaceId(toHex(parts.chance.bytes(16))),
    account: account.id,
    name,
    kind,
    folding,
    epoch: toHex(parts.chance.bytes(16)),
    cutKey: await parts.journals.cutKey(toHex(parts.chance.bytes(CUT_KEY_BYTES))),
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

export async function findSpace(
  journals: JournalStore,
  account: AccountRow,
  name: string,
): Promise<SpaceRow | undefined> {
  return (await journals.spaces(account.id)).find((space) => space.name === name);
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
  const found = await findSpace(parts.journals, account, name);
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
    const made = await findSpace(parts.journals, account, name);
    if (made === undefined) throw error;
    return made;
  }
}
