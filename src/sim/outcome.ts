/** What collectors did while devices were at work. */
export type CollectorRuns = {
  /** That came to their end. */
  readonly ended: number;
  /** Of these, during which commits landed. */
  readonly crossed: number;
  /** That ended in the midst of a call. */
  readonly killed: number;
};

export const NO_RUNS: CollectorRuns = { ended: 0, crossed: 0, killed: 0 };

/** What came of one story. */
export type Outcome = {
  readonly hash: number;
  readonly steps: number;
  readonly wrong: readonly string[];
  /** Ways and fates of this story, and what its engines logged. */
  readonly happened: readonly string[];
  readonly collected: CollectorRuns;
};
