// A reporter for node:test that says only how it ended, for checks.ts: the words are the spec
// reporter's.

type Counts = { readonly passed: number; readonly failed: number; readonly skipped: number };
type Summary = {
  readonly file?: string | undefined;
  readonly counts: {
    readonly tests: number;
    readonly passed: number;
    readonly skipped: number;
    readonly todo: number;
  };
};
type Event = { readonly type: string; readonly data: unknown };

/** Yields one line of JSON, {@link Counts}, when the whole run (not one file of it) has ended. */
export default async function* report(events: AsyncIterable<Event>): AsyncGenerator<string> {
  for await (const { type, data } of events) {
    if (type !== "test:summary") continue;
    const { file, counts } = data as Summary;
    if (file !== undefined) continue;
    const skipped = counts.skipped + counts.todo;
    // What neither passed nor was skipped has failed, was cancelled or ran out of time.
    const failed = counts.tests - counts.passed - skipped;
    yield JSON.stringify({ passed: counts.passed, failed, skipped } satisfies Counts);
  }
}
