// What the user does to alarms. What fails is told, and stops nothing else.
import type { AckResult, Alarm, Inbox, Problem } from "../client/src/types.js";
import type { Words } from "./lang/index.js";

export interface Commands {
  /** Alarms that wait for an answer. */
  readonly busy: ReadonlySet<string>;
  ack(alarms: readonly Alarm[], note?: string): Promise<void>;
  /** Does something to each; false is an answer of "no, nothing was done". */
  each(alarms: readonly Alarm[], what: (alarm: Alarm) => Promise<unknown>): Promise<boolean>;
  /** Does something that is about no alarm. */
  run(what: () => Promise<unknown>): Promise<boolean>;
}

export interface CommandOptions {
  readonly inbox: Inbox;
  readonly words: Words;
  changed(): void;
  failed(text: string): void;
  acknowledged(n: number): void;
}

function isProblem(value: unknown): value is Problem {
  return typeof value === "object" && value !== null && "title" in value && typeof value.title === "string";
}

/** What an error says for people. */
export function told(error: unknown): string {
  const problem = typeof error === "object" && error !== null && "problem" in error ? error.problem : error;
  if (isProblem(problem)) return problem.detail ? `${problem.title}: ${problem.detail}` : problem.title;
  return error instanceof Error ? error.message : String(error);
}

export function createCommands({ inbox, words, changed, failed, acknowledged }: CommandOptions): Commands {
  const busy = new Set<string>();

  async function during<T>(ids: readonly string[], what: () => Promise<T>): Promise<T> {
    for (const id of ids) busy.add(id);
    changed();
    try {
      return await what();
    } finally {
      for (const id of ids) busy.delete(id);
      changed();
    }
  }

  function tell(errors: readonly string[], all: number): void {
    const first = errors[0];
    if (first !== undefined) failed(all > 1 ? `${words.someFailed(errors.length, all)} ${first}` : first);
  }

  async function ackAll(ids: readonly string[], note: string | undefined): Promise<readonly AckResult[]> {
    try {
      return await inbox.ack(ids, note);
    } catch (error) {
      return ids.map((id) => ({ id, problem: { type: "", status: 0, title: told(error) } }));
    }
  }

  return {
    busy,
    async ack(alarms, note) {
      const ids = alarms.filter((alarm) => !alarm.acked && !busy.has(alarm.id)).map((alarm) => alarm.id);
      if (ids.length === 0) return;
      const results = await during(ids, () => ackAll(ids, note || undefined));
      const errors = results.flatMap(({ problem }) => (problem ? [told(problem)] : []));
      tell(errors, ids.length);
      if (errors.length < ids.length) acknowledged(ids.length - errors.length);
    },
    async each(alarms, what) {
      const errors: string[] = [];
      await during(alarms.map((alarm) => alarm.id), async () => {
        for (const alarm of alarms) await what(alarm).catch((error: unknown) => errors.push(told(error)));
      });
      tell(errors, alarms.length);
      return errors.length === 0;
    },
    async run(what) {
      try {
        await what();
        return true;
      } catch (error) {
        failed(told(error));
        return false;
      }
    },
  };
}
