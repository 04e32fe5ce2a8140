/**
 * A response body that pulls from a generator only as fast as its reader reads, and ends it (its
 * signal aborts) when the reader goes away.
 */
export function streamOf(
  begin: (signal: AbortSignal) => AsyncGenerator<Uint8Array, void, undefined>,
): ReadableStream<Uint8Array> {
  const gone = new AbortController();
  const pieces = begin(gone.signal);
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const next = await pieces.next();
        if (next.done) controller.close();
        else controller.enqueue(next.value);
      },
      async cancel() {
        gone.abort();
        await pieces.return();
      },
    },
    { highWaterMark: 1, size: () => 1 },
  );
}
