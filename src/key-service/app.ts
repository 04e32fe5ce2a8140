import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { toHex } from "#core/bytes.ts";
import { codeOf, messageOf } from "#core/errors.ts";
import { accountId, type AccountId } from "#core/ids.ts";
import { FieldReader } from "#crypto/fields.ts";
import { evaluate, evaluationKey, readRequest, type OprfWorld } from "#crypto/oprf.ts";
import { ELEMENT_BYTES } from "#crypto/ristretto.ts";
import {
  ACCOUNT_HEADER,
  Credit,
  EVALUATION_ROUTES,
  MAX_QUESTION_BYTES,
  type EvaluationFault,
} from "#protocol/evaluations.ts";
import type { Budget } from "./budget.ts";
import type { Seeds } from "./key-file.ts";

const STATUS: Readonly<Record<EvaluationFault["code"], number>> = {
  "bad-request": 400,
  "not-found": 404,
  "unknown-epoch": 410,
  "too-many-evaluations": 429,
  internal: 500,
};

function refuse(code: EvaluationFault["code"], detail: string, retryAfterMs?: number): Response {
  const headers: Record<string, string> = { "content-type": "application/json" };
  if (retryAfterMs !== undefined) headers["retry-after"] = `${Math.ceil(retryAfterMs / 1_000)}`;
  const fault: EvaluationFault = { code, detail };
  return new Response(JSON.stringify(fault), { status: STATUS[code], headers });
}

function accountOf(text: string | undefined): AccountId | null {
  try {
    return accountId(text ?? "");
  } catch {
    return null;
  }
}

/**
 * The key service as a function from request to response. It believes whoever reaches its socket
 * about whose question it is, and keeps its limit for everybody together whoever asks. It writes
 * nothing of what it is asked anywhere.
 */
export function buildKeyApp(world: OprfWorld, seeds: Seeds, budget: Budget): Hono {
  const keys = new Map(
    [...seeds].map(([epoch, seed]) => [epoch, evaluationKey(world, epoch, seed)]),
  );
  const app = new Hono();
  const tooLarge = (): Response => refuse("bad-request", "The body is too large.");
  app.use(bodyLimit({ maxSize: MAX_QUESTION_BYTES, onError: tooLarge }));
  app.notFound(() => refuse("not-found", "The key service has no such call."));
  app.onError((error) => {
    if (codeOf(error) === "bad-evaluation") return refuse("bad-request", messageOf(error));
    return refuse("internal", "The key service failed.");
  });

  app.get(EVALUATION_ROUTES.keys, (context) => {
    const newestLast = [...keys.values()].sort((left, right) => left.epoch - right.epoch);
    const shown = newestLast.map(({ epoch, publicKey }) => {
      return { epoch, publicKey: toHex(publicKey) };
    });
    return context.json({ keys: shown });
  });

  app.post(EVALUATION_ROUTES.credits, async (context) => {
    const credit = Credit.safeParse(await context.req.json().catch(() => null));
    if (!credit.success) return refuse("bad-request", "That is no account and number of bytes.");
    budget.credit(credit.data.account, credit.data.acceptedBytes);
    return context.body(null, 204);
  });

  app.post(EVALUATION_ROUTES.evaluations, async (context) => {
    const account = accountOf(context.req.header(ACCOUNT_HEADER));
    if (account === null) return refuse("bad-request", `${ACCOUNT_HEADER} names no account.`);
    const question = new Uint8Array(await context.req.arrayBuffer());
    const epoch = new FieldReader(question, "bad-evaluation", "A question").u16();
    const key = keys.get(epoch);
    if (key === undefined) {
      return refuse("unknown-epoch", `There is no key of epoch ${epoch}; ask which there are.`);
    }
    // Before any point is looked at: that is work too.
    const waitMs = await budget.take(
      account,
      Math.max(1, Math.floor(question.length / ELEMENT_BYTES)),
    );
    if (waitMs > 0) {
      const detail = "So many evaluations are not to be had now; seal without them or wait.";
      return refuse("too-many-evaluations", detail, waitMs);
    }
    const answer = new Uint8Array(evaluate(world, key, readRequest(world, question)));
    return context.body(answer, 200, { "content-type": "application/octet-stream" });
  });
  return app;
}
