import { systemChance } from "#platform/chance.ts";
import { systemClock } from "#platform/clock.ts";
import { realClock } from "#server/real-world.ts";
import { chanceContract, clockContract } from "./clock-port.ts";

clockContract("this machine's clock", systemClock);
clockContract("a server's clock", realClock);
chanceContract("this machine's chance", systemChance);
