// A file of the tree, read and parsed once for all tidy rules.

import { parseSync, type Comment, type EcmaScriptModule } from "oxc-parser";
import * as path from "node:path";

export type Finding = { readonly path: string; readonly line: number; readonly message: string };

/** Any node of the syntax tree; rules ask for `type` first and read the fields of that type. */
export type Node = {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [field: string]: unknown;
};

export type Source = {
  /** From the project's root, with "/" on every system. */
  readonly path: string;
  readonly text: string;
  readonly lines: readonly string[];
  readonly program: Node;
  readonly comments: readonly Comment[];
  readonly module: EcmaScriptModule;
};

export type Rule = (source: Source) => readonly Finding[];

export function parse(file: string, text: string): Source {
  const result = parseSync(file, text);
  const error = result.errors[0];
  if (error !== undefined) throw new Error(`${file} does not parse: ${error.message}`);
  return {
    path: file,
    text,
    lines: text.split("\n"),
    program: result.program as unknown as Node,
    comments: result.comments,
    module: result.module,
  };
}

export function isTest(file: string): boolean {
  return file.endsWith(".test.ts");
}

/** The room a path lies in ("sync" for src/sync/planner.ts), or undefined outside src/. */
export function roomOf(file: string): string | undefined {
  const [top, room, ...rest] = file.split("/");
  return top === "src" && rest.length > 0 ? room : undefined;
}

export function findingAt(source: Source, offset: number, message: string): Finding {
  let line = 1;
  for (let at = source.text.indexOf("\n"); at !== -1 && at < offset;) {
    line += 1;
    at = source.text.indexOf("\n", at + 1);
  }
  return { path: source.path, line, message };
}

/** Calls `visit` for every node below and including `node`, parents first. */
export function walk(node: Node, visit: (node: Node, parent: Node | undefined) => void): void {
  const queue: { readonly node: Node; readonly parent: Node | undefined }[] = [
    { node, parent: undefined },
  ];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    visit(next.node, next.parent);
    for (const field of Object.values(next.node)) {
      for (const child of Array.isArray(field) ? (field as unknown[]) : [field]) {
        if (isNode(child)) queue.push({ node: child, parent: next.node });
      }
    }
  }
}

export function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "type" in value && "start" in value;
}

/** "test" for test(...), "Math.random" for Math.random, "" for anything that is not such a name. */
export function dottedName(node: unknown): string {
  if (!isNode(node)) return "";
  if (node.type === "Identifier") return String(node["name"]);
  if (node.type !== "MemberExpression" || node["computed"] === true) return "";
  const object = dottedName(node["object"]);
  return object === "" ? "" : `${object}.${dottedName(node["property"])}`;
}

/** Where an import leads: a path from the root for ours, or a package or builtin by its name. */
export type Target =
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "builtin"; readonly name: string }
  | { readonly kind: "package"; readonly name: string };

export function targetOf(source: Source, specifier: string): Target {
  if (specifier.startsWith("#")) return { kind: "file", path: `src/${specifier.slice(1)}` };
  if (specifier.startsWith(".")) {
    return { kind: "file", path: path.posix.join(path.posix.dirname(source.path), specifier) };
  }
  if (specifier.startsWith("node:")) return { kind: "builtin", name: specifier };
  const parts = specifier.split("/");
  return { kind: "package", name: parts.slice(0, specifier.startsWith("@") ? 2 : 1).join("/") };
}

export type Import = { readonly specifier: string; readonly start: number };

/** Every way a file names another: import, export from, import(), and import("…").Type. */
export function importsOf(source: Source): Import[] {
  const found: Import[] = [];
  for (const { moduleRequest } of source.module.staticImports) {
    found.push({ specifier: moduleRequest.value, start: moduleRequest.start });
  }
  for (const { entries } of source.module.staticExports) {
    const from = entries[0]?.moduleRequest;
    if (from) found.push({ specifier: from.value, start: from.start });
  }
  walk(source.program, (node) => {
    if (node.type !== "ImportExpression" && node.type !== "TSImportType") return;
    const from = node["source"];
    if (isNode(from) && typeof from["value"] === "string") {
      found.push({ specifier: from["value"], start: from.start });
    }
  });
  return found;
}
