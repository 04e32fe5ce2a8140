/** What zod exports beside all else: its sentences in sixty languages, a module each. */
const LANGUAGES = /\/node_modules\/zod\/.*\/locales\/index\.js$/;

const NOTHING = "data:text/javascript,";

/**
 * Has zod load without the languages that nobody here speaks to it: they take 3 MB that a device at
 * rest keeps, and a third of the time in which a command starts. Where zod has them elsewhere one
 * day, they are loaded as before.
 */
export function loadLean(): void {
  const { registerHooks } = process.getBuiltinModule("node:module");
  registerHooks({
    resolve(specifier, context, next) {
      const found = specifier.endsWith("/locales/index.js") ? next(specifier, context) : null;
      if (found === null) return next(specifier, context);
      if (!LANGUAGES.test(found.url)) return found;
      return { url: NOTHING, format: "module", shortCircuit: true };
    },
  });
}
