import { systemPrimitives } from "#platform/primitives.ts";
import { openRistretto } from "#platform/ristretto.ts";
import { Draw } from "../../src/sim/chance.ts";
import { quickPrimitives } from "../../src/sim/quick-primitives.ts";
import { virtualPrimitives } from "../../src/sim/virtual-primitives.ts";
import { compressionContract, primitivesContract, ristrettoContract } from "./primitives.ts";
import { sealingLaws } from "./sealing-laws.ts";
import { secondPrimitives, secondRistretto } from "./second-primitives.ts";

const dreamed = virtualPrimitives(new Draw(1, "primitives"));
const quick = quickPrimitives(new Draw(1, "primitives"));

primitivesContract("this machine's library", systemPrimitives);
primitivesContract("a dreamed machine", dreamed);
primitivesContract("WebCrypto and noble", secondPrimitives);

sealingLaws("a dreamed machine in a hurry", quick);

compressionContract("this machine's library", systemPrimitives);
compressionContract("a dreamed machine", dreamed);
compressionContract("a dreamed machine in a hurry", quick);

ristrettoContract("libsodium", openRistretto);
ristrettoContract("noble", async () => secondRistretto);
