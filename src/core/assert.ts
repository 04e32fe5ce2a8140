/** A broken promise of the program itself: a bug, never an outcome of the world. */
class AssertionFailure extends Error {
  override readonly name = "AssertionFailure";
}

/** Stops the program's current work with a report when `condition` does not hold. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionFailure(message);
}

/** Ends an exhaustive switch: the compiler proves that no case is left. */
export function unreachable(value: never): never {
  throw new AssertionFailure(`unreachable case: ${JSON.stringify(value)}`);
}
