import { WorldError } from "#core/errors.ts";
import type { Draw } from "./chance.ts";
import { Actor, type Scheduler } from "./scheduler.ts";
import type { VirtualServer } from "./virtual-server.ts";

/** What comes twice may come so much later than anything else, when all has changed. */
const LATE = 40;

export type NetworkFaults = {
  readonly lostRequest: number;
  readonly lostReply: number;
  readonly repeated: number;
  readonly latestMs: number;
  readonly pageEntries: number;
  /** Share of fetches that end early. */
  readonly cutShort: number;
};

export type LineWorld = {
  readonly scheduler: Scheduler;
  readonly server: VirtualServer;
  /** The device's process: it gets replies only while it lives. */
  readonly actor: Actor;
  readonly draw: Draw;
  readonly faults: () => NetworkFaults;
  readonly isCut: () => boolean;
  /** Told of every request but the waiting feed's. */
  readonly onCall: () => void;
};

function offline(what: string): WorldError {
  return new WorldError("offline", `The server did not answer (${what}).`, { retryable: true });
}

/** A device's line to the server: what is sent may be lost, late, doubled, or never answered. */
export class VirtualLine {
  readonly #line: LineWorld;
  /** Requests on their way outlive the process that sent them. */
  readonly #wire: Actor;

  constructor(line: LineWorld) {
    this.#line = line;
    this.#wire = new Actor(`${line.actor.name}~net`, line.actor.weight);
  }

  get faults(): NetworkFaults {
    return this.#line.faults();
  }

  get draw(): Draw {
    return this.#line.draw;
  }

  get server(): VirtualServer {
    return this.#line.server;
  }

  /**
   * Has the server do `work` and resolves with what it answers. Throws WorldError `offline` when
   * nothing comes within `patienceMs`, null waits for ever; and the signal's reason when it aborts.
   */
  ask<T>(
    what: string,
    patienceMs: number | null,
    work: () => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    const { scheduler, actor, draw, faults, isCut } = this.#line;
    const { lostRequest, lostReply, repeated, latestMs } = faults();
    if (signal?.aborted) return Promise.reject(reasonOf(signal));
    if (what !== "changes") this.#line.onCall();
    return new Promise<T>((resolve, reject) => {
      const tooLong = (): void => reject(offline("it took too long"));
      const giveUp =
        patienceMs === null
          ? () => {}
          : scheduler.after(patienceMs, actor, `gives up ${what}`, tooLong);
      const abort = (): void => {
        giveUp();
        if (signal !== undefined) reject(reasonOf(signal));
      };
      signal?.addEventListener("abort", abort, { once: true });
      const settle = (label: string, act: () => void): void => {
        scheduler.after(draw.below(latestMs + 1), actor, `${label} ${what}`, () => {
          giveUp();
          signal?.removeEventListener("abort", abort);
          act();
        });
      };
      if (isCut() || draw.chance(lostRequest)) {
        settle("is refused", () => reject(offline("the request was lost")));
        return;
      }
      if (draw.chance(repeated)) {
        const nobody = (): void => {};
        this.#send(what, work, nobody, nobody, LATE);
      }
      const isLost = draw.chance(lostReply);
      const reply = (act: () => void): void => {
        if (isLost || isCut()) settle("misses", () => reject(offline("the reply was lost")));
        else settle("hears", act);
      };
      this.#send(
        what,
        work,
        (value) => reply(() => resolve(value)),
        (error) => reply(() => reject(error)),
      );
    });
  }

  /** One request on its way; a server that ended in between answers nothing. */
  #send<T>(
    what: string,
    work: () => Promise<T>,
    hear: (value: T) => void,
    fail: (error: Error) => void,
    slowness = 1,
  ): void {
    const { scheduler, server, draw, faults } = this.#line;
    const delayMs = draw.below(faults().latestMs + 1) * slowness;
    const { timesRestored } = server;
    scheduler.after(delayMs, this.#wire, `serves ${what}`, () => {
      // To put a copy back the server was stopped: what was on its way to it is nowhere.
      if (server.timesRestored !== timesRestored) {
        fail(offline("the connection broke"));
        return;
      }
      const { life } = server;
      const hangUp = (): void => fail(offline("the connection broke"));
      server.underWay.add(hangUp);
      const ifAlive = (act: () => void): void => {
        if (server.life !== life) return;
        server.underWay.delete(hangUp);
        act();
      };
      void answerOf(work).then((answer) => {
        ifAlive(() => {
          if ("value" in answer) hear(answer.value);
          else fail(answer.error);
        });
      });
    });
  }
}

function reasonOf(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error("aborted");
}

async function answerOf<T>(work: () => Promise<T>): Promise<{ value: T } | { error: Error }> {
  try {
    return { value: await work() };
  } catch (error) {
    return { error: error instanceof Error ? error : new Error(String(error)) };
  }
}
