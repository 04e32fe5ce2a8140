// The names of the outside world that the pure rooms may know (tsconfig.pure.json gives them no
// library but the language's own). Each is a function of its arguments or a carrier of someone
// else's decision; clock, chance, disk, network and console are not here, and come in through
// ports.

declare class TextEncoder {
  encode(text?: string): Uint8Array<ArrayBuffer>;
}

declare class TextDecoder {
  constructor(
    encoding?: "utf-8",
    options?: { readonly fatal?: boolean; readonly ignoreBOM?: boolean },
  );
  decode(bytes?: Uint8Array): string;
}

interface AbortSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  throwIfAborted(): void;
  addEventListener(
    event: "abort",
    listener: () => void,
    options?: { readonly once?: boolean },
  ): void;
  removeEventListener(event: "abort", listener: () => void): void;
}

// No AbortSignal.timeout: it is a clock.
declare const AbortSignal: {
  abort(reason?: unknown): AbortSignal;
  any(signals: AbortSignal[]): AbortSignal;
};

declare class AbortController {
  readonly signal: AbortSignal;
  abort(reason?: unknown): void;
}

declare function queueMicrotask(callback: () => void): void;
declare function structuredClone<T>(value: T): T;
