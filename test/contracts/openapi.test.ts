import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import { ROUTES } from "#protocol/routes.ts";
import { ServerWorld } from "./server-world.ts";

type Operation = {
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
  readonly responses: Readonly<Record<string, object>>;
  readonly security?: readonly object[];
};

/** Every schema below a part of the document. */
function* schemasIn(value: unknown): Generator<object> {
  if (typeof value !== "object" || value === null) return;
  for (const [key, below] of Object.entries(value)) {
    if (key === "schema") yield below as object;
    else yield* schemasIn(below);
  }
}

describe("/openapi.json", () => {
  test("WI16: describes every call in OpenAPI 3.1, with JSON Schema 2020-12", async () => {
    await using world = await ServerWorld.open();
    const answer = await world.begin("GET", "/openapi.json");
    assert.equal(answer.headers.get("content-type"), "application/json");
    const document = (await answer.json()) as typeof world.check.document;
    assert.match(document.openapi, /^3\.1\./);
    const expected = Object.values(ROUTES).filter((path) => path !== ROUTES.openapi);
    assert.deepEqual(Object.keys(document.paths).toSorted(), expected.toSorted());
    const ajv = new Ajv2020({ strict: false, validateFormats: false });
    ajv.addSchema(document, "openapi");
    const refer = (schema: object): object =>
      JSON.parse(JSON.stringify(schema).replaceAll('"$ref":"#', '"$ref":"openapi#'));
    for (const schema of schemasIn(document.paths)) ajv.compile(refer(schema));
  });

  test("WI17: names every parameter of a path, and the problems of a call", async () => {
    await using world = await ServerWorld.open();
    for (const [path, operations] of Object.entries(world.check.document.paths)) {
      const holes = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? "");
      for (const operation of Object.values(operations) as Operation[]) {
        const named = (operation.parameters ?? []).filter((one) => one.in === "path");
        assert.deepEqual(named.map((one) => one.name).toSorted(), holes.toSorted(), path);
        if (operation.security === undefined) continue;
        for (const status of ["400", "401"]) assert.ok(operation.responses[status], path);
      }
    }
  });
});
