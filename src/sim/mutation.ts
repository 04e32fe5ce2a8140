import { registerHooks } from "node:module";
import { assert } from "#core/assert.ts";

/** A small change of one source file: `find` stands in it exactly once. */
export type Edit = {
  /** Below `src/`. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
};

/**
 * A wrong behaviour that the simulator must find (mutation analysis; DeMillo, Lipton, Sayward,
 * "Hints on test data selection", 1978). It exists in the simulator only, as edits to the source:
 * the product has no switch for it.
 */
export type Mutant = {
  readonly name: string;
  /** Which rule it breaks, in a sentence. */
  readonly breaks: string;
  readonly edits: readonly Edit[];
  /** The mutant whose rule covers this one's, so that alone it does no harm; null: none does. */
  readonly maskedBy: string | null;
};

type Change = readonly [file: string, find: string, replace: string];

export function mutant(name: string, breaks: string, ...changes: readonly Change[]): Mutant {
  const edits = changes.map(([file, find, replace]) => ({ file, find, replace }));
  return { name, breaks, edits, maskedBy: null };
}

/** A mutant that shows only where another one's rule is broken too. */
export function masked(by: string, one: Mutant): Mutant {
  return { ...one, maskedBy: by };
}

/** Both in one program. */
export function together(one: Mutant, other: Mutant): Mutant {
  const isNew = ({ file, find }: Edit): boolean =>
    !one.edits.some((edit) => edit.file === file && edit.find === find);
  const edits = [...one.edits, ...other.edits.filter(isNew)];
  return { name: `${one.name}, ${other.name}`, breaks: one.breaks, edits, maskedBy: null };
}

/** The source with all edits of one file made. */
export function mutated(source: string, edits: readonly Edit[]): string {
  return edits.reduce((text, { file, find, replace }) => {
    const pieces = text.split(find);
    const count = pieces.length - 1;
    assert(count === 1, `src/${file} holds ${count} times, instead of once: ${find}`);
    return pieces.join(replace);
  }, source);
}

/**
 * Makes this thread load the mutant's files as they are after its edits. Whatever was loaded before
 * stays as it is: a thread of its own calls this first.
 */
export function plant({ edits }: Pick<Mutant, "edits">): void {
  const room = new URL("../", import.meta.url).href;
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      const own = edits.filter(({ file }) => url === room + file);
      if (own.length === 0 || loaded.source === undefined) return loaded;
      const source = loaded.source ?? "";
      const text = typeof source === "string" ? source : new TextDecoder().decode(source);
      return { ...loaded, source: mutated(text, own) };
    },
  });
}
