// The rooms of src/ and the walls between them. test/tidy.test.ts holds every import against this
// table.

/** What a room can know: "pure" nothing of any machine, "node" Node's, "browser" a page's. */
export type Climate = "pure" | "node" | "browser";

export type Room = {
  readonly climate: Climate;
  /** The rooms it may import from, besides itself. */
  readonly rooms: readonly RoomName[];
  /** Single files (or folders, ending in "/") of other rooms that it may import, below src/. */
  readonly doors?: readonly string[];
  /** The packages a pure room may import; the other climates may have what package.json names. */
  readonly packages?: readonly string[];
  /**
   * The files that may ask the machine for the time or for chance, below src/. A room without the
   * list may do so anywhere; a pure room has an empty one.
   */
  readonly clockFiles?: readonly string[];
};

export type RoomName =
  | "core"
  | "chunking"
  | "crypto"
  | "protocol"
  | "sync"
  | "server"
  | "key-service"
  | "platform"
  | "sim"
  | "cli"
  | "web";

const pureRooms = ["core", "chunking", "crypto", "protocol", "sync"] as const;

export const rooms: Readonly<Record<RoomName, Room>> = {
  core: { climate: "pure", rooms: [], packages: [], clockFiles: [] },
  chunking: { climate: "pure", rooms: ["core"], packages: [], clockFiles: [] },
  crypto: { climate: "pure", rooms: ["core"], packages: [], clockFiles: [] },
  // A schema is both the parser and the type of a message, on both ends.
  protocol: { climate: "pure", rooms: ["core"], packages: ["zod"], clockFiles: [] },
  sync: {
    climate: "pure",
    rooms: ["core", "chunking", "crypto", "protocol"],
    // Matching gitignore lines is pure, and full of corners that others have found already.
    packages: ["ignore"],
    clockFiles: [],
  },
  // It cannot cut or open a file: whoever keeps the bytes must not be able to read them.
  server: {
    climate: "node",
    rooms: ["core", "protocol"],
    // The simulator runs the real server by its own clock.
    clockFiles: ["server/real-world.ts"],
  },
  // A process of its own: no server can read its key, and it can reach nothing that a server has.
  "key-service": {
    climate: "node",
    rooms: ["core", "protocol"],
    doors: [
      "crypto/fields.ts",
      "crypto/oprf.ts",
      "crypto/ristretto.ts",
      "platform/chance.ts",
      "platform/clock.ts",
      "platform/primitives.ts",
      "platform/ristretto.ts",
    ],
    clockFiles: [],
  },
  platform: {
    climate: "node",
    rooms: ["core", "chunking", "crypto", "protocol"],
    doors: ["sync/ports.ts", "sync/tree.ts"],
  },
  sim: {
    climate: "node",
    rooms: [...pureRooms, "server"],
    // Some stories go through the server's HTTP layer, and only a device's own side of it says what
    // is sent there. It takes clock, chance and fetch as arguments.
    doors: ["platform/remote-http.ts"],
    // A sweep says how long it took, and a hunt ends stories that never do; a story must not know.
    // The scheduler's turns of the event loop only run microtasks dry: no time passes in them.
    clockFiles: ["sim/hunt.ts", "sim/main.ts", "sim/planner-sweep.ts", "sim/scheduler.ts"],
  },
  cli: { climate: "node", rooms: [...pureRooms, "server", "platform"] },
  web: { climate: "browser", rooms: [...pureRooms] },
};

/** What the tests beside the files of a pure room may import on top: they are Node programs. */
export const testPackages: readonly string[] = ["fast-check"];

export function isRoom(name: string): name is RoomName {
  return Object.hasOwn(rooms, name);
}
