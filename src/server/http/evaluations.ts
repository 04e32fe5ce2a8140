import { createRoute, z, type OpenAPIHono } from "@hono/zod-openapi";
import { concat } from "#core/bytes.ts";
import type { Clock } from "#core/world.ts";
import { MAX_QUESTION_BYTES } from "#protocol/evaluations.ts";
import { ROUTES } from "#protocol/routes.ts";
import type { Evaluations } from "../evaluations.ts";
import { ProblemError } from "../problem-error.ts";
import { readBody } from "./body.ts";
import { BODY_PROBLEMS, WITH_TOKEN, type Env, type Gates } from "./gates.ts";
import { problems } from "./problem.ts";

const binary = {
  "application/octet-stream": { schema: z.string().openapi({ format: "binary" }) },
};

const route = createRoute({
  method: "post",
  path: ROUTES.evaluations,
  summary: "Ask the key service (RFC 9497, verifiable): a batch of blinded inputs",
  security: WITH_TOKEN,
  request: { body: { required: true, content: binary } },
  responses: {
    200: { description: "A value for each, and one proof", content: binary },
    ...problems(...BODY_PROBLEMS, "no-token", "bad-token", "forbidden"),
    ...problems("too-many-evaluations", "key-service-away"),
  },
});

export function mountEvaluations(
  app: OpenAPIHono<Env>,
  { evaluations, clock }: { readonly evaluations: Evaluations; readonly clock: Clock },
  gates: Gates,
): void {
  app.openapi({ ...route, middleware: [gates.session] }, async (context) => {
    const { account, device } = context.get("session");
    if (device === null) {
      throw new ProblemError("forbidden", "Only a device has something to seal; use its token.");
    }
    const pieces = await Array.fromAsync(readBody(context, clock, MAX_QUESTION_BYTES));
    const answer = await evaluations.evaluate(account.id, concat(pieces));
    return new Response(new Uint8Array(answer), {
      headers: { "content-type": "application/octet-stream" },
    });
  });
}
