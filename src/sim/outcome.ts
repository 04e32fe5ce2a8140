/** What came of one story. */
export type Outcome = {
  readonly hash: number;
  readonly steps: number;
  readonly wrong: readonly string[];
  /** Ways and fates of this story, and what its engines logged. */
  readonly happened: readonly string[];
};
