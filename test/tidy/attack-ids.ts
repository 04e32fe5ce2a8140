// SPEC.md's attacks and the tests that try them name each other.

import { OF_THE_TREE, type Defence } from "../defences/list.ts";
import { findingAt, type Finding, type Source } from "./source.ts";
import { rulesOf, testNames } from "./spec-ids.ts";

const id = "(?:T-[A-Z]{2}|BE)-[0-9]+";

type Attack = { readonly line: number; readonly rules: readonly string[] };

/** The rows of the table: `| **T-XX-01** | what is tried | the rules that stand against it |`. */
function attacksOf(spec: string): ReadonlyMap<string, Attack> {
  const attacks = new Map<string, Attack>();
  spec.split("\n").forEach((text, index) => {
    const row = new RegExp(String.raw`^\| \*\*(${id})\*\* \|.*\|([^|]*)\|$`).exec(text);
    if (row?.[1] === undefined) return;
    attacks.set(row[1], { line: index + 1, rules: row[2]?.match(/[A-Z]{2}[0-9]+/g) ?? [] });
  });
  return attacks;
}

/** Each attack's defence can be switched off, by edits that still fit their files. */
export function checkDefences(
  spec: string,
  defences: readonly Defence[],
  read: (file: string) => string,
): Finding[] {
  const attacks = attacksOf(spec);
  const findings: Finding[] = [];
  for (const [attack, { line }] of attacks) {
    if (OF_THE_TREE.includes(attack)) continue;
    if (defences.some((one) => one.attack === attack)) continue;
    findings.push({ path: "SPEC.md", line, message: `no defence against ${attack} is listed` });
  }
  for (const { attack, edits } of defences) {
    const say = (message: string): void =>
      void findings.push({
        path: "test/defences/list.ts",
        line: 1,
        message: `${attack}: ${message}`,
      });
    if (!attacks.has(attack)) say("is no attack of SPEC.md");
    for (const { file, find } of edits) {
      const count = read(`src/${file}`).split(find).length - 1;
      if (count !== 1) say(`${file} has ${count} times, instead of once: ${find}`);
    }
  }
  return findings;
}

export function checkAttackIds(spec: string, sources: readonly Source[]): Finding[] {
  const attacks = attacksOf(spec);
  const rules = rulesOf(spec);
  const tried = new Set<string>();
  const findings: Finding[] = [];
  for (const source of sources) {
    for (const { name, start } of testNames(source)) {
      for (const found of name.match(new RegExp(String.raw`\b${id}\b`, "g")) ?? []) {
        tried.add(found);
        if (attacks.has(found)) continue;
        findings.push(findingAt(source, start, `${found} is no attack of SPEC.md`));
      }
    }
  }
  for (const [attack, { line, rules: named }] of attacks) {
    const say = (message: string): void => void findings.push({ path: "SPEC.md", line, message });
    if (!tried.has(attack)) say(`no test tries ${attack}`);
    for (const rule of named) if (!rules.has(rule)) say(`${rule} is no rule`);
  }
  return findings;
}
