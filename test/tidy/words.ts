// Words that say nothing about the thing they name.

import { basename } from "node:path/posix";
import { findingAt, type Finding, type Source } from "./source.ts";

const anywhere = new Set(
  ["manager", "service", "helper", "util", "handler", "processor", "info", "impl"].flatMap(
    (word) => [word, `${word}s`],
  ),
);
/** These mean something in front of another word ("data folder"), and nothing behind one. */
const atTheEnd = new Set(["data", "base"]);

export function checkWords(source: Source): Finding[] {
  const findings: Finding[] = [];
  const [stem = ""] = basename(source.path).split(".");
  const inFile = emptyWord(stem);
  if (inFile !== undefined) findings.push(findingAt(source, 0, `"${inFile}" in the file's name`));
  for (const { start, entries } of source.module.staticExports) {
    for (const { exportName, localName } of entries) {
      const name = exportName.kind === "Default" ? localName.name : exportName.name;
      const word = emptyWord(name ?? "");
      if (word === undefined) continue;
      findings.push(findingAt(source, start, `"${word}" in ${name ?? ""}: say what it is or does`));
    }
  }
  return findings;
}

/** What GLOSSARY.md has as one word: the key service. */
function isTerm(before: string | undefined, word: string): boolean {
  return before === "key" && word === "service";
}

function emptyWord(name: string): string | undefined {
  const words =
    name.match(/[A-Z]+(?![a-z])|[A-Z]?[a-z]+/g)?.map((word) => word.toLowerCase()) ?? [];
  const last = words.at(-1) ?? "";
  const empty = words.find((word, at) => anywhere.has(word) && !isTerm(words[at - 1], word));
  return empty ?? (atTheEnd.has(last) ? last : undefined);
}
