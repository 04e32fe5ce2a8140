import type { OpenAPIHono } from "@hono/zod-openapi";
import { ROUTES } from "#protocol/routes.ts";
import type { Env } from "./gates.ts";

/**
 * A JSON Schema's pattern is Unicode-aware by itself; the generator leaves a RegExp's closing slash
 * and flag in it. (No pattern of ours matches texts that end in a slash and a u.)
 */
function withoutFlags(key: string, value: unknown): unknown {
  return key === "pattern" && typeof value === "string" ? value.replace(/\/u$/, "") : value;
}

/** Serves the OpenAPI 3.1 document of all routes that are mounted when it is first asked for. */
export function mountDocument(app: OpenAPIHono<Env>, version: string): void {
  app.openAPIRegistry.registerComponent("securitySchemes", "bearer", {
    type: "http",
    scheme: "bearer",
    description: "A device's or a program's token",
  });
  let text: string | undefined;
  app.get(ROUTES.openapi, (context) => {
    text ??= JSON.stringify(
      app.getOpenAPI31Document({
        openapi: "3.1.0",
        info: {
          title: "Lockstep",
          version,
          description:
            "Keeps folders the same on all devices of an account. Bodies of JSON may come with " +
            "Content-Encoding: zstd, and the long answers come so to whoever accepts it.",
          license: { name: "Apache-2.0" },
        },
      }),
      withoutFlags,
    );
    return context.body(text, 200, { "content-type": "application/json" });
  });
}
