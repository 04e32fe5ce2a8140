import { WorldError } from "#core/errors.ts";
import type { SpaceId } from "#core/ids.ts";
import { CommitAnswer } from "#protocol/commit.ts";
import { withRestore } from "../restores.ts";
import type { Head } from "./port.ts";
import { restoresOf, textOf, type Row } from "./rows.ts";

/** How long a refusal is remembered: longer than any request may be under way. */
export const REFUSAL_LIFE_MS = 24 * 60 * 60 * 1_000;

/** What one read of the journal may hold in memory, as stored. */
export const MAX_READ_BYTES = 32 * 1024 * 1024;

/** What a commit was answered that is the entry of `head`. */
export function committed({ sequence, chain }: Head): CommitAnswer {
  return { outcome: "committed", sequence, chain };
}

/** The answer that a row of refusals holds. */
export function refusalOf(row: Row): CommitAnswer {
  return CommitAnswer.parse(JSON.parse(textOf(row, "answer")));
}

/** What a space's restores are, as stored, once an older copy was put back whose head this is. */
export function restoresAfter(row: Row, { epoch, ...head }: Head & { epoch: string }): string {
  return JSON.stringify(withRestore(restoresOf(row).restores, { epoch, ...head }));
}

export function noSpace(space: SpaceId): WorldError {
  return new WorldError("not-found", `There is no space ${space}.`);
}
