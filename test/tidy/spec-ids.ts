// SPEC.md's rules and the tests that hold us to them name each other.

import {
  dottedName,
  findingAt,
  isNode,
  isTest,
  walk,
  type Finding,
  type Source,
} from "./source.ts";

const id = "[A-Z]{2}[0-9]+";
const idList = `${id}(?:(?:, ?| )${id})*`;

/** The ids that start a rule of SPEC.md, with their lines. A rule starts with its id in bold. */
export function rulesOf(spec: string): ReadonlyMap<string, number> {
  const rules = new Map<string, number>();
  spec.split("\n").forEach((line, index) => {
    const found = new RegExp(String.raw`^\s*(?:[-*|] *|\d+\. *)?\*\*(${id})\*\*`).exec(line)?.[1];
    if (found !== undefined) rules.set(found, index + 1);
  });
  return rules;
}

/** The ids at the start of a name ("PL3: …", "PL3, JN2: …") or in brackets ("… [PL3]"). */
function idsIn(name: string): string[] {
  const lists = [
    new RegExp(`^(${idList})\\b`).exec(name)?.[1],
    ...[...name.matchAll(new RegExp(`\\[(${idList})\\]`, "g"))].map((match) => match[1]),
  ];
  return lists.flatMap((list) => list?.match(new RegExp(id, "g")) ?? []);
}

export function checkSpecIds(spec: string, sources: readonly Source[]): Finding[] {
  const rules = rulesOf(spec);
  const tested = new Set<string>();
  const findings: Finding[] = [];
  for (const source of sources) {
    if (!isTest(source.path) && !source.path.startsWith("test/")) continue;
    // These only play with ids.
    if (source.path.startsWith("test/tidy")) continue;
    // Tests made from a table have their names in the table, so any string may claim a rule…
    walk(source.program, (node) => {
      for (const found of idsIn(textOf(node))) tested.add(found);
    });
    // …but only a test's own name can be wrong about one: other strings may look like an id by
    // chance.
    for (const { name, start } of testNames(source)) {
      for (const found of idsIn(name)) {
        if (rules.has(found)) continue;
        findings.push(findingAt(source, start, `${found} is no rule of SPEC.md`));
      }
    }
  }
  for (const [rule, line] of rules) {
    if (tested.has(rule)) continue;
    findings.push({ path: "SPEC.md", line, message: `no test names ${rule}` });
  }
  return findings;
}

/** Names of tests and suites as they stand in the source. */
export function testNames(source: Source): { readonly name: string; readonly start: number }[] {
  const names: { name: string; start: number }[] = [];
  walk(source.program, (node) => {
    if (node.type !== "CallExpression") return;
    if (!/^(test|it|describe|suite|(t|context)\.test)$/.test(dottedName(node["callee"]))) return;
    const first = (node["arguments"] as unknown[])[0];
    if (isNode(first)) names.push({ name: textOf(first), start: first.start });
  });
  return names;
}

function textOf(node: unknown): string {
  if (!isNode(node)) return "";
  if (node.type === "Literal" && typeof node["value"] === "string") return node["value"];
  if (node.type !== "TemplateLiteral") return "";
  const pieces = node["quasis"] as { readonly value: { readonly cooked: string } }[];
  return pieces.map((piece) => piece.value.cooked).join(" ");
}
