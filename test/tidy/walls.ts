// Who may import whom, and who may ask the machine for time and chance.

import { isRoom, rooms, testPackages, type Room } from "../rooms.ts";
import {
  dottedName,
  findingAt,
  importsOf,
  isTest,
  roomOf,
  targetOf,
  walk,
  type Finding,
  type Import,
  type Node,
  type Source,
} from "./source.ts";

export function checkImports(source: Source): Finding[] {
  const name = roomOf(source.path);
  if (name === undefined) return [];
  if (!isRoom(name)) return [findingAt(source, 0, `"${name}" is not a room of test/rooms.ts`)];
  const findings: Finding[] = [];
  for (const imported of importsOf(source)) {
    const objection = objectionTo(source, name, rooms[name], imported);
    if (objection !== undefined) findings.push(findingAt(source, imported.start, objection));
  }
  return findings;
}

function objectionTo(
  source: Source,
  name: string,
  room: Room,
  imported: Import,
): string | undefined {
  const target = targetOf(source, imported.specifier);
  const test = isTest(source.path);
  switch (target.kind) {
    case "builtin":
      if (room.climate === "node" || test) return undefined;
      return `${name} is ${room.climate} and cannot import ${target.name}`;
    case "package":
      if (room.packages === undefined || room.packages.includes(target.name)) return undefined;
      if (test && testPackages.includes(target.name)) return undefined;
      return `${name} is ${room.climate} and cannot import the package ${target.name}`;
    case "file": {
      if (isTest(target.path)) return `a test is not imported: ${imported.specifier}`;
      const other = roomOf(target.path);
      if (other === undefined) {
        return test && target.path.startsWith("test/")
          ? undefined
          : `${imported.specifier} lies in no room`;
      }
      if (other === name || (room.rooms as readonly string[]).includes(other)) return undefined;
      const inside = target.path.slice("src/".length);
      const doors = room.doors ?? [];
      if (doors.some((door) => (door.endsWith("/") ? inside.startsWith(door) : inside === door))) {
        return undefined;
      }
      return `${name} may not import ${imported.specifier}; test/rooms.ts says what it may`;
    }
  }
}

const timers = ["setTimeout", "setInterval", "setImmediate"];
const forbiddenCalls = new Set([
  "Date.now",
  "Math.random",
  "performance.now",
  "performance.timeOrigin",
  "process.hrtime",
  "process.hrtime.bigint",
  "Temporal.Now",
  "AbortSignal.timeout",
  "Atomics.wait",
  "crypto.randomUUID",
  "crypto.getRandomValues",
  "crypto.randomBytes",
  "crypto.randomInt",
]);
const forbiddenImports: Readonly<Record<string, readonly string[] | "all">> = {
  "node:timers": "all",
  "node:timers/promises": "all",
  "node:perf_hooks": "all",
  "node:crypto": [
    "randomUUID",
    "randomBytes",
    "randomInt",
    "randomFill",
    "randomFillSync",
    "webcrypto",
  ],
};

/** Time and chance come in through ports, so that the simulator can be both. Tests are free. */
export function checkClock(source: Source): Finding[] {
  const name = roomOf(source.path);
  if (name === undefined || !isRoom(name) || isTest(source.path)) return [];
  const { clockFiles } = rooms[name];
  if (clockFiles === undefined) return [];
  if (clockFiles.includes(source.path.slice("src/".length))) return [];
  const findings: Finding[] = [];
  const add = (offset: number, what: string): void => {
    const message = `${what}: time and chance come in through the Clock and Chance ports here`;
    findings.push(findingAt(source, offset, message));
  };
  walk(source.program, (node, parent) => {
    const what = clockOrChance(node, parent);
    if (what !== undefined) add(node.start, what);
  });
  for (const { moduleRequest, entries } of source.module.staticImports) {
    const forbidden = forbiddenImports[moduleRequest.value];
    if (forbidden === undefined) continue;
    if (forbidden === "all") add(moduleRequest.start, moduleRequest.value);
    else {
      for (const { importName } of entries) {
        if (forbidden.includes(importName.name ?? ""))
          add(moduleRequest.start, importName.name ?? "");
      }
    }
  }
  return findings;
}

function clockOrChance(node: Node, parent: Node | undefined): string | undefined {
  if (node.type === "MemberExpression") {
    const name = dottedName(node).replace(/^(globalThis|global)\./, "");
    if (forbiddenCalls.has(name)) return name;
    return timers.includes(name) ? name : undefined;
  }
  if (node.type === "NewExpression" && dottedName(node["callee"]) === "Date") {
    return (node["arguments"] as unknown[]).length === 0 ? "new Date()" : undefined;
  }
  if (node.type !== "Identifier") return undefined;
  const name = String(node["name"]);
  if (name === "Date" && parent?.type === "CallExpression") {
    return parent["callee"] === node ? "Date()" : undefined;
  }
  // A property of that name is somebody's own.
  const isKey = parent?.["property"] === node || parent?.["key"] === node;
  return timers.includes(name) && !isKey ? name : undefined;
}
