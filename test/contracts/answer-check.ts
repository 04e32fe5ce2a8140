import assert from "node:assert/strict";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";

type Document = {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
};
type Operation = {
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, object>> }>
  >;
};

function escapePointer(text: string): string {
  return encodeURIComponent(text.replaceAll("~", "~0").replaceAll("/", "~1"));
}

/** Holds answers to what the server's own OpenAPI document says of them. */
export class AnswerCheck {
  readonly document: Document;
  readonly #ajv = new Ajv2020({ strict: false, validateFormats: false });
  readonly #compiled = new Map<string, ValidateFunction>();

  constructor(document: Document) {
    this.document = document;
    this.#ajv.addSchema(document, "openapi");
  }

  /** The path template of a request; undefined when the document has none. */
  #template(method: string, path: string): string | undefined {
    const matching = Object.keys(this.document.paths).filter((template) => {
      const operations = this.document.paths[template];
      if (operations?.[method.toLowerCase()] === undefined) return false;
      // A file's path holds slashes; every other parameter is one piece.
      const pattern = template.replaceAll(/\{(\w+)\}/g, (_, name) =>
        name === "file_path" ? "[^]+" : "[^/]+",
      );
      return new RegExp(`^${pattern}$`).test(path);
    });
    return matching.toSorted((left, right) => left.split("{").length - right.split("{").length)[0];
  }

  check(method: string, path: string, answer: Response, text: string): void {
    const template = this.#template(method, path);
    if (template === undefined) {
      assert.equal(answer.status, 404, `${method} ${path} is answered but not in the document`);
      return;
    }
    const operation = this.document.paths[template]?.[method.toLowerCase()];
    const described = operation?.responses[String(answer.status)];
    const name = `${method} ${template} ${answer.status}`;
    assert.ok(described !== undefined, `${name} is not in the document: ${text.slice(0, 300)}`);
    const type = (answer.headers.get("content-type") ?? "").split(";")[0] ?? "";
    if (described.content === undefined) {
      assert.equal(text, "", `${name} has no body`);
      return;
    }
    assert.ok(described.content[type] !== undefined, `${name} may not be ${type}`);
    if (!type.endsWith("json")) return;
    const pointer = ["paths", template, method.toLowerCase(), "responses", String(answer.status)];
    pointer.push("content", type, "schema");
    const reference = `openapi#/${pointer.map(escapePointer).join("/")}`;
    const validate = this.#compiled.get(reference) ?? this.#ajv.compile({ $ref: reference });
    this.#compiled.set(reference, validate);
    const fine = validate(JSON.parse(text));
    assert.ok(fine, `${name}: ${this.#ajv.errorsText(validate.errors)} in ${text.slice(0, 300)}`);
  }
}
