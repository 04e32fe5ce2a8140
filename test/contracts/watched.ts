/** What a call says of itself: its name, and the sizes of the texts that go in. */
function calledAs(name: string, args: readonly unknown[]): string {
  const sizes = args.map((arg) => (typeof arg === "string" ? arg.length : typeof arg));
  return `${name}(${sizes.join(", ")})`;
}

/** The same part, and its parts in turn, telling which calls they get. */
export function watched<Part extends object>(part: Part, told: string[]): Part {
  return new Proxy(part, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value === "function") {
        return (...args: unknown[]): unknown => {
          told.push(calledAs(String(name), args));
          return value.apply(target, args);
        };
      }
      return typeof value === "object" && value !== null ? watched(value, told) : value;
    },
  });
}
