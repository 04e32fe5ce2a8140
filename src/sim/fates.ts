import type { Draw } from "./chance.ts";
import type { Device } from "./device.ts";
import { cross, slipBy, undoMeanwhile } from "./encounters.ts";
import { goBack } from "./going-back.ts";
import type { StoreImage } from "./memory-store.ts";
import type { Past } from "./past.ts";
import type { Surprise } from "./people.ts";
import type { Scheduler } from "./scheduler.ts";
import type { SealedAccount } from "./sealed-account.ts";
import type { Fate } from "./swarm.ts";
import type { VirtualServer } from "./virtual-server.ts";

/** An engine that is to end in a step does so in one of the next so many. */
const MOST_STEPS_TO_END = 40;
const MOST_OF_A_KIND = 3;
/** What people do to what an engine left. */
const FOUND_WAYS: readonly Surprise[] = ["put-back", "put-back", "write", "save-unchanged"];

type FatesWorld = {
  readonly scheduler: Scheduler;
  readonly server: VirtualServer;
  /** Null in a plain space. */
  readonly account: SealedAccount | null;
  readonly past: Past;
  readonly happened: Set<string>;
  readonly devices: readonly Device[];
  readonly draw: Draw;
  /** Does something after a while; the story waits for it. */
  readonly later: (delayMs: number, label: string, act: () => void) => void;
};

/** What befalls the machines of a story, and the server. */
export class Fates {
  readonly #world: FatesWorld;
  readonly #images = new Map<Device, StoreImage>();
  #hasRestored = false;

  constructor(world: FatesWorld) {
    this.#world = world;
  }

  /** An older server was put back. */
  get hasRestored(): boolean {
    return this.#hasRestored;
  }

  befall(fate: Fate, device: Device, draw: Draw): void {
    const { plight } = device;
    const { scheduler, happened, server } = this.#world;
    scheduler.note(`fate: ${fate} ${device.name}`);
    happened.add(`fate: ${fate}`);
    const forMs = draw.between(1, 5_000);
    const lift = (act: () => void): void => this.#world.later(forMs, `ends ${fate}`, act);
    const restart = (): void => lift(() => void device.start());
    switch (fate) {
      case "crash":
        device.kill();
        return restart();
      case "crash-in-commit":
        return this.#crashInCommit(device, draw, restart);
      case "crash-in-step":
        return this.#crashInStep(device, draw, restart);
      case "crossed":
        return cross(this.#world, device, draw);
      case "slipped":
        return slipBy(this.#world, device, draw);
      case "undone":
        return undoMeanwhile(this.#world, device, draw);
      case "stop":
        device.stop();
        return restart();
      case "power-cut":
        device.powerCut();
        return restart();
      case "roll-back": {
        const image = this.#images.get(device);
        this.#images.set(device, device.store.image());
        if (image === undefined) return;
        device.rollBack(image);
        return restart();
      }
      case "partition":
        plight.cutOff = true;
        return lift(() => (plight.cutOff = false));
      case "server-crash":
        return server.restart(draw.chance(0.5));
      case "server-restore":
        return this.#restoreServer(device, draw, lift);
      case "bar":
        return this.#bar(device, draw, lift);
      case "io":
        plight.ioErrors = draw.fraction() * 0.3;
        return lift(() => (plight.ioErrors = 0));
      case "full":
        plight.full = true;
        return lift(() => (plight.full = false));
      case "clock-jump":
        device.time.skewMs += draw.pick([-3_600_000, -5_000, 5_000, 3_600_000, 86_400_000]);
    }
  }

  /** A copy is made, and put back a while later; somebody may be away from before that on. */
  #restoreServer(device: Device, draw: Draw, lift: (act: () => void) => void): void {
    const { server, later } = this.#world;
    server.backUp();
    const isAway = draw.chance(0.5);
    later(draw.between(1, 4_000), "goes back", () => {
      if (isAway) device.plight.cutOff = true;
      if (goBack(this.#world)) this.#hasRestored = true;
      if (isAway) lift(() => (device.plight.cutOff = false));
    });
  }

  #crashInCommit(device: Device, draw: Draw, restart: () => void): void {
    let countdown = draw.below(12);
    const moment = draw.chance(0.5) ? "before-commit" : "after-commit";
    const { store } = device;
    store.crashAt = (at) => {
      if (at !== moment || countdown-- > 0) return false;
      device.crashDue = true;
      store.close();
      restart();
      return true;
    };
  }

  /** What is left in the middle of a step is met by a person before the engine comes back. */
  #crashInStep(device: Device, draw: Draw, restart: () => void): void {
    const kind = draw.pick(["", "rename", "link", "stage write"]);
    device.endIn(draw.below(kind === "" ? MOST_STEPS_TO_END : MOST_OF_A_KIND), kind, () => {
      restart();
      if (draw.chance(0.7)) device.ambush.find(FOUND_WAYS);
    });
  }

  #bar(device: Device, draw: Draw, lift: (act: () => void) => void): void {
    const inodes = [...device.disk.tree()].map(({ inode }) => inode);
    if (inodes.length === 0) return;
    const folders = inodes.filter(({ kind }) => kind === "folder");
    const inode = draw.pick(folders.length > 0 && draw.chance(0.5) ? folders : inodes);
    inode.barred = true;
    // A folder's own watch hears of its new mode, too.
    device.disk.touch(inode);
    lift(() => {
      inode.barred = false;
      // As chmod does: the time of the last change moves.
      device.disk.setExecutable(inode, inode.executable);
    });
  }
}
