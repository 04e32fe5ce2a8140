import { assert } from "#core/assert.ts";
import { nodeId } from "#core/ids.ts";
import type { DeviceStore } from "#platform/device-store.ts";
import { decideHold, listHolds, type Decision } from "#sync/holds.ts";
import { expectCommit, forgetCommit } from "#sync/settings.ts";
import type { Status } from "#sync/status.ts";
import { listConflicts } from "./conflict-list.ts";
import type { Answers, Question } from "./control.ts";
import type { OpenFolder } from "./daemon.ts";
import { lookUp, pathsOf } from "./nodes.ts";
import { settleFully } from "./settle.ts";

type StoreAnswer = (store: DeviceStore, question: Question) => unknown;

function textOf(question: Question, field: string): string {
  const value = question[field];
  assert(typeof value === "string", `the question ${question.ask} has no ${field}`);
  return value;
}

function textsOf(question: Question, field: string): string[] {
  const value = question[field];
  assert(Array.isArray(value), `the question ${question.ask} has no ${field}`);
  return value.map(String);
}

/** What a device's database answers, whether its engine runs or not. */
export const STORE_ANSWERS = {
  "look-up": (store, question) => lookUp(store, textOf(question, "path")),
  paths: (store, question) => pathsOf(store.trees, textsOf(question, "nodes").map(nodeId)),
  conflicts: (store) => listConflicts(store),
  holds: (store) => listHolds(store.trees, store.records),
  "decide-hold": (store, question) => {
    return decideHold(store, textOf(question, "id"), decisionOf(question));
  },
  "expect-commit": ({ records }, question) => expectCommit(records, textOf(question, "commit")),
  "forget-commit": ({ records }, question) => forgetCommit(records, textOf(question, "commit")),
} as const satisfies Record<string, StoreAnswer>;

function decisionOf(question: Question): Decision {
  const decision = textOf(question, "decision");
  assert(decision === "approve" || decision === "reject", `no decision is called ${decision}`);
  return decision;
}

export type StoreQuestion = keyof typeof STORE_ANSWERS;

async function statusOf({ engine, store }: OpenFolder): Promise<Status> {
  const reason = await engine.rootTrouble();
  const status = engine.status(listConflicts(store).length);
  return reason === null ? status : { ...status, state: "halted", reason };
}

/**
 * What the engine of a folder answers to other commands of this machine; `flush` writes down what
 * it has told so far, so that who has waited finds it in the log.
 */
export function engineAnswers(open: OpenFolder, flush: () => void): Answers {
  const { engine, store } = open;
  const fromStore = Object.entries<StoreAnswer>(STORE_ANSWERS).map(([name, work]) => [
    name,
    async (question: Question) => Promise.resolve(work(store, question)),
  ]);
  return {
    ...(Object.fromEntries(fromStore) as Answers),
    "decide-hold": async (question) => {
      const decided = STORE_ANSWERS["decide-hold"](store, question);
      engine.wake();
      return Promise.resolve(decided);
    },
    status: async () => statusOf(open),
    settle: async (_question, signal) => {
      await settleFully(open, signal);
      flush();
      return engine.status(0);
    },
  };
}
