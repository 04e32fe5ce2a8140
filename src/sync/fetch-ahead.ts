import { WorldError } from "#core/errors.ts";
import type { SealedEntry } from "#crypto/chunk.ts";
import type { ChunkFrame } from "#protocol/frames.ts";
import type { Remote } from "./ports.ts";

/** Chunks are asked for so many bytes at a time, and so many requests ahead. */
const ASKED_AT_ONCE_BYTES = 8 * 1024 * 1024;
const ASKED_AHEAD = 1;

/** A request for chunks that is under way. */
type Asked = {
  readonly first: Promise<IteratorResult<ChunkFrame, unknown>>;
  readonly others: AsyncIterator<ChunkFrame, unknown>;
  readonly count: number;
};

/**
 * Stored chunks in the order asked, in requests of some megabytes each: while one is read, the
 * server has the next, so that nobody waits for a way there and back. Ends early where one of them
 * does, and throws what the first to fail throws, after what came before it.
 */
export async function* fetchAhead(
  remote: Pick<Remote, "fetch">,
  entries: readonly SealedEntry[],
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const over = new AbortController();
  const either = signal === undefined ? over.signal : AbortSignal.any([signal, over.signal]);
  const asking: Asked[] = [];
  const slices = slicesOf(entries);
  const askNext = (): void => {
    const { value: slice, done } = slices.next();
    if (done !== true) asking.push(ask(remote, slice, either));
  };
  try {
    for (let ahead = 0; ahead <= ASKED_AHEAD; ahead++) askNext();
    for (let asked = asking[0]; asked !== undefined; asked = asking[0]) {
      let given = 0;
      for (let next = await asked.first; next.done !== true; next = await asked.others.next()) {
        if (++given > asked.count) throw unasked();
        yield next.value.bytes;
      }
      if (given < asked.count) return;
      asking.shift();
      askNext();
    }
  } finally {
    // What was asked for in vain is not waited for.
    over.abort();
    await Promise.allSettled(asking.map(async ({ others }) => others.return?.()));
  }
}

function ask(
  remote: Pick<Remote, "fetch">,
  slice: readonly SealedEntry[],
  signal: AbortSignal,
): Asked {
  const ids = slice.map(({ chunk }) => chunk);
  const others = remote.fetch(ids, signal)[Symbol.asyncIterator]();
  const first = others.next();
  // A failure is met by whoever comes to this request; it must not count as unhandled before.
  first.catch(() => undefined);
  return { first, others, count: ids.length };
}

function* slicesOf(entries: readonly SealedEntry[]): Generator<SealedEntry[], undefined> {
  let slice: SealedEntry[] = [];
  let bytes = 0;
  for (const entry of entries) {
    slice.push(entry);
    bytes += entry.lengthBytes;
    if (bytes < ASKED_AT_ONCE_BYTES) continue;
    yield slice;
    slice = [];
    bytes = 0;
  }
  if (slice.length > 0) yield slice;
}

export function unasked(): WorldError {
  return new WorldError("bad-chunk", "The server sent more chunks than it was asked for.");
}
