import { MAX_PAGE } from "#protocol/limits.ts";

/** One page of a list that is short enough to be held: what follows the item `after`. */
export function pageOf<Item, Id extends string>(
  all: readonly Item[],
  idOf: (item: Item) => Id,
  after: Id | undefined,
  limit: number = MAX_PAGE,
): { readonly page: readonly Item[]; readonly next: Id | undefined } {
  const begin = after === undefined ? 0 : all.findIndex((item) => idOf(item) === after) + 1;
  const page = all.slice(begin, begin + limit);
  const last = page.at(-1);
  const more = begin + page.length < all.length;
  return { page, next: more && last !== undefined ? idOf(last) : undefined };
}
