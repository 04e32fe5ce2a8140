// How large, how wide and how named a file may be, and what must not stand in it.

import { basename } from "node:path/posix";
import {
  dottedName,
  findingAt,
  isNode,
  isTest,
  walk,
  type Finding,
  type Node,
  type Source,
} from "./source.ts";

const maxFileLines = 600;
const maxFunctionLines = 70;
const maxColumns = 100;

export function checkSize(source: Source): Finding[] {
  const findings: Finding[] = [];
  const inTests = isTest(source.path) || source.path.startsWith("test/");
  // A file ends with a newline, so the last piece is no line.
  const count = source.lines.length - 1;
  if (count > maxFileLines) {
    findings.push(findingAt(source, 0, `${count} lines; a file has at most ${maxFileLines}`));
  }
  source.lines.forEach((line, index) => {
    // An address cannot be broken, nor a test's title or a table's row, which is read as a
    // sentence.
    const isTold = inTests && /(["'`]).{50,}\1/u.test(line);
    if (line.length <= maxColumns || isTold || /https?:\/\//.test(line)) return;
    const message = `more than ${maxColumns} columns`;
    findings.push({ path: source.path, line: index + 1, message });
  });
  walk(source.program, (node, parent) => {
    if (!isFunction(node) || isSuite(parent) || (inTests && declaresTests(node))) return;
    const lines = source.text.slice(node.start, node.end).split("\n").length;
    if (lines <= maxFunctionLines) return;
    const message = `a function of ${lines} lines; it has at most ${maxFunctionLines}`;
    findings.push(findingAt(source, node.start, message));
  });
  return findings;
}

function isFunction(node: Node): boolean {
  return ["FunctionDeclaration", "FunctionExpression", "ArrowFunctionExpression"].includes(
    node.type,
  );
}

/** describe(…, () => { … }) only groups tests; each of them is measured. */
function isSuite(parent: Node | undefined): boolean {
  if (parent?.type !== "CallExpression") return false;
  return ["describe", "suite"].includes(dottedName(parent["callee"]));
}

/** A contract is a function full of tests: a suite with an argument. */
function declaresTests(node: Node): boolean {
  const block = node["body"];
  if (!isNode(block) || !Array.isArray(block["body"])) return false;
  return block["body"].some((statement) => {
    if (!isNode(statement) || statement.type !== "ExpressionStatement") return false;
    const call = statement["expression"];
    if (!isNode(call) || call.type !== "CallExpression") return false;
    return ["test", "it", "describe", "suite"].includes(dottedName(call["callee"]));
  });
}

const forbiddenFiles = ["index", "util", "utils", "types", "helpers", "common", "misc"];

/** For any file of the tree, parsed or not. */
export function checkFileName(path: string): Finding[] {
  const findings: Finding[] = [];
  const add = (message: string): void => {
    findings.push({ path, line: 1, message });
  };
  const odd = path.split("/").find((part) => !/^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+)*$/.test(part));
  if (odd !== undefined) add(`"${odd}" is not kebab-case`);
  const [stem = "", extension = ""] = basename(path).split(".");
  if (extension !== "html" && forbiddenFiles.includes(stem)) {
    add(`"${stem}" says nothing about what is inside; name the file after its subject`);
  }
  return findings;
}

/** A file that only passes on what others export hides where things live. */
export function checkBarrel(source: Source): Finding[] {
  const body = source.program["body"];
  if (!Array.isArray(body) || body.length === 0) return [];
  const passesOn = (statement: unknown): boolean => {
    if (!isNode(statement)) return false;
    if (statement.type === "ImportDeclaration" || statement.type === "ExportAllDeclaration")
      return true;
    return statement.type === "ExportNamedDeclaration" && !isNode(statement["declaration"]);
  };
  const exportsSomething = source.module.staticExports.length > 0;
  if (!exportsSomething || !body.every(passesOn)) return [];
  return [findingAt(source, 0, "a barrel: import from the file that has the thing")];
}

export function checkComments(source: Source): Finding[] {
  const findings: Finding[] = [];
  for (const comment of source.comments) {
    const found = /\b(TODO|FIXME|XXX|HACK)\b(?!\([^)\s][^)]*\))/.exec(comment.value);
    if (found === null) continue;
    const message = `${found[1]} without a reason: write ${found[1]}(why it is not done yet)`;
    findings.push(findingAt(source, comment.start, message));
  }
  return findings;
}

/** A skipped test says why in a string, which the test's report shows; none runs alone. */
export function checkSkips(source: Source): Finding[] {
  if (!isTest(source.path) && !source.path.startsWith("test/")) return [];
  const findings: Finding[] = [];
  walk(source.program, (node, parent) => {
    const message =
      node.type === "CallExpression" ? skippingCall(node) : skippingOption(node, parent);
    if (message !== undefined) findings.push(findingAt(source, node.start, message));
  });
  return findings;
}

function skippingCall(node: Node): string | undefined {
  const name = dottedName(node["callee"]);
  if (/^(test|it|describe|suite)\.only$/.test(name)) return "a test that runs alone";
  if (/^(test|it|describe|suite)\.(skip|todo)$/.test(name)) {
    return `${name} has no place for a reason: use { skip: "why" }`;
  }
  const count = (node["arguments"] as unknown[]).length;
  if (/^(t|context)\.(skip|todo)$/.test(name) && count === 0) return `${name}() without a reason`;
  return undefined;
}

function skippingOption(node: Node, parent: Node | undefined): string | undefined {
  if (node.type !== "Property" || parent?.type !== "ObjectExpression") return undefined;
  const key = dottedName(node["key"]);
  const value = node["value"];
  if (!isNode(value)) return undefined;
  const isTrue = value.type === "Literal" && value["value"] === true;
  if (key === "only" && isTrue) return "a test that runs alone";
  if (key !== "skip" && key !== "todo") return undefined;
  // A condition alone would skip without a word; `condition ? "why" : false` says one.
  const isBare = value.type === "UnaryExpression" || value.type === "BinaryExpression";
  return isTrue || isBare ? `${key} without a reason: give it a string` : undefined;
}

// Built so that this file does not match itself.
const registryHost = new RegExp(
  [String.raw`\bregistry\.[a-z0-9-]+\.[a-z]{2,}`, String.raw`"resolved":\s*"https?:`].join("|"),
  "i",
);

/** Where packages come from is the machine's affair. For any text file. */
export function checkRegistry(path: string, text: string): Finding[] {
  const findings: Finding[] = [];
  text.split("\n").forEach((line, index) => {
    const found = registryHost.exec(line)?.[0];
    if (found !== undefined) {
      findings.push({ path, line: index + 1, message: `names a package registry: ${found}` });
    }
  });
  return findings;
}
