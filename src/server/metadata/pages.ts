import type { SpaceId } from "#core/ids.ts";
import type { ContentKey, ContentRow, LinkCollection } from "./collection.ts";

/** Rows that are read, or changed, at a time. */
export const ROWS_AT_ONCE = 1_000;

/** All spaces, by id. */
export async function* allSpaces(links: Pick<LinkCollection, "spaces">): AsyncGenerator<SpaceId> {
  for (let after: SpaceId | undefined; ;) {
    const page = await links.spaces(ROWS_AT_ONCE, after);
    yield* page;
    if (page.length < ROWS_AT_ONCE) return;
    after = page.at(-1);
  }
}

/** All contents of a space, by node and sequence, forgotten ones too; `rest` between two pages. */
export async function* allContents(
  links: Pick<LinkCollection, "contents">,
  space: SpaceId,
  rest: () => Promise<void> = async () => {},
): AsyncGenerator<ContentRow> {
  for (let after: ContentKey | undefined; ;) {
    const page = await links.contents(space, ROWS_AT_ONCE, after);
    yield* page;
    if (page.length < ROWS_AT_ONCE) return;
    after = page.at(-1);
    await rest();
  }
}
