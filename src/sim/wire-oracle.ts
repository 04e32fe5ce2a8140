import { CommitAnswer } from "#protocol/commit.ts";
import { Feed } from "#protocol/feed.ts";

/** Waiting requests are answered in the step in which the journal grew, or in one of the next. */
const MOST_LATE_MS = 1_000;

/** A request and what one life of the server answered it; times by the server's clock. */
export type Exchange = {
  readonly what: string;
  readonly status: number;
  readonly bytes: Uint8Array;
  readonly askedMs: number;
  readonly answeredMs: number;
  /** The journal grew between the two. */
  readonly isGrown: boolean;
};

/**
 * What is wrong with an answer, although clients put up with it: they try again, ask anew, or look
 * into the body, so that devices agree all the same (SPEC JN22, HC2, HC3).
 */
export function wireFault(exchange: Exchange): string | null {
  const { what, status } = exchange;
  if (status >= 500) return `the server answers ${what} with ${status}`;
  if (what === "commit") return commitFault(exchange);
  return what === "changes" && status === 200 ? feedFault(exchange) : null;
}

function commitFault({ status, bytes }: Exchange): string | null {
  const answer = CommitAnswer.safeParse(jsonOf(bytes));
  if (!answer.success) return null;
  const { outcome } = answer.data;
  const isAsItIs = status === (outcome === "committed" ? 200 : 409);
  return isAsItIs ? null : `the server answers a commit that is ${outcome} with ${status}`;
}

function feedFault({ bytes, askedMs, answeredMs, isGrown }: Exchange): string | null {
  const [first] = Feed.parse(jsonOf(bytes)).entries;
  if (first === undefined) return isGrown ? "the feed does not tell of what came" : null;
  const lateMs = answeredMs - Math.max(askedMs, first.timeMs);
  return lateMs > MOST_LATE_MS ? `the feed tells of what came ${lateMs} ms later` : null;
}

export function jsonOf(bytes: Uint8Array): unknown {
  return JSON.parse(new TextDecoder().decode(bytes));
}
