import { assert } from "#core/assert.ts";
import type { Status } from "#sync/status.ts";
import { expectCommit, forgetCommit } from "#sync/settings.ts";
import type { Answers, Question } from "./control.ts";
import type { OpenFolder } from "./daemon.ts";
import type { LinkedFolder } from "./links.ts";

export function statusOf({ engine }: OpenFolder): Status {
  return engine.status(0);
}

function textOf(question: Question, field: string): string {
  const value = question[field];
  assert(typeof value === "string", `the question has no ${field}`);
  return value;
}

/** What the engine of a folder answers to other commands of this machine. */
export function engineAnswers({ link }: LinkedFolder, open: OpenFolder): Answers {
  const { engine, store } = open;
  return {
    status: async () => Promise.resolve(statusOf(open)),
    settle: async (_question, signal) => {
      const gone = new Promise<void>((resolve) => {
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
      await Promise.race([engine.settle(), gone]);
      return statusOf(open);
    },
    "expect-commit": async (question) => {
      expectCommit(store.records, textOf(question, "commit"));
      return Promise.resolve(link.device);
    },
    "forget-commit": async (question) => {
      forgetCommit(store.records, textOf(question, "commit"));
      return Promise.resolve(link.device);
    },
  };
}
