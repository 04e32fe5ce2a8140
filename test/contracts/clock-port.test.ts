import { systemChance } from "#platform/chance.ts";
import { systemClock } from "#platform/clock.ts";
import { chanceContract, clockContract } from "./clock-port.ts";

clockContract("this machine's clock", systemClock);
chanceContract("this machine's chance", systemChance);
