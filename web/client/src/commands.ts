// Commands and queries, always over HTTP (docs/protocol.md §9): they work the same
// whichever transport the entries come by, and in tabs that have none of their own.
import { InboxError, noAnswer, parse, problemOf, within, wordsOf } from "./http.js";
import type { Wiring } from "./run.js";
import type { Scope } from "./scope.js";
import type { AckResult, Alarm, Counts, Inbox, Problem } from "./types.js";

/** What the server takes at once. */
const MOST_ACKS = 200;
const MOST_IDS = 1000;

export type Commands = Pick<Inbox, "read" | "ack" | "unack" | "clear" | "shelve" | "unshelve" | "comment" | "query" | "history">;

export interface CommandOptions extends Pick<Wiring, "platform" | "timing" | "tokens" | "url" | "cursor"> {
  readonly scope: Scope;
  /** Hears what is known of alarms and counters from the answers. */
  alarms(alarms: readonly Alarm[]): void;
  counts(counts: Counts): void;
  problem(problem: Problem): void;
}

function partsOf<T>(all: readonly T[], most: number): readonly (readonly T[])[] {
  return Array.from({ length: Math.ceil(all.length / most) }, (_, i) => all.slice(i * most, (i + 1) * most));
}

/** The query of what is there: ?a=1&b=2, or nothing. */
function queryOf(values: Readonly<Record<string, unknown>>): string {
  const parts = Object.entries(values).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return parts.map(([name, value], i) => `${i ? "&" : "?"}${name}=${encodeURIComponent(String(value))}`).join("");
}

export function createCommands(o: CommandOptions): Commands {
  async function exchange(path: string, body: object | undefined) {
    const headers: Record<string, string> = { Authorization: `Bearer ${await o.tokens.get()}` };
    if (body) headers["Content-Type"] = "application/json";
    const ask = { method: body ? "POST" : "GET", url: o.url(path), headers, ...(body ? { body: JSON.stringify(body) } : {}) } as const;
    return within(o.platform, o.scope, o.timing.request, (scope) => o.platform.request(ask, scope));
  }

  /** The answer's JSON, or an InboxError, which `problem` hears of too. A token that was not taken is replaced once. */
  async function ask(path: string, body?: object): Promise<Readonly<Record<string, unknown>>> {
    let problem: Problem;
    try {
      let answer = await exchange(path, body);
      if (answer.status === 401 && o.tokens.refused()) answer = await exchange(path, body);
      if (answer.status >= 200 && answer.status < 300) {
        o.tokens.accepted();
        return parse(answer.body);
      }
      problem = problemOf(answer);
      const present = (problem as { alarm?: Alarm }).alarm;
      if (present?.device) o.alarms([present]);
    } catch (error) {
      problem = noAnswer(wordsOf(error));
    }
    o.problem(problem);
    throw new InboxError(problem);
  }

  async function command(id: string, name: string, body: object): Promise<Alarm> {
    const alarm = (await ask(`/v1/alarms/${encodeURIComponent(id)}/${name}`, body)) as unknown as Alarm;
    o.alarms([alarm]);
    return alarm;
  }

  async function ack(ids: string | readonly string[], note?: string): Promise<readonly AckResult[]> {
    const results: AckResult[] = [];
    for (const part of partsOf(typeof ids === "string" ? [ids] : ids, MOST_ACKS)) {
      const answer = await ask("/v1/alarms/ack", { ids: part, note });
      const some = answer["results"] as readonly AckResult[];
      o.alarms(some.flatMap(({ alarm }) => (alarm ? [alarm] : [])));
      results.push(...some);
    }
    return results;
  }

  async function read(what: { readonly upto?: string; readonly ids?: readonly string[] } = { upto: o.cursor() ?? "latest" }): Promise<Counts> {
    let counts: unknown;
    for (const part of what.ids ? partsOf(what.ids, MOST_IDS) : [null]) {
      counts = await ask("/v1/inbox/read", part ? { ids: part } : what);
      o.counts(counts as Counts);
    }
    return (counts ?? (await ask("/v1/counts"))) as Counts;
  }

  return {
    read, ack,
    unack: (id, note) => command(id, "unack", { note }),
    clear: (id, note) => command(id, "clear", { note }),
    shelve: (id, until, note) => command(id, "shelve", { until, note }),
    unshelve: (id) => command(id, "unshelve", {}),
    comment: (id, note) => command(id, "comment", { note }),
    query: async (query = {}) => (await ask(`/v1/alarms${queryOf({ ...query })}`)) as unknown as Awaited<ReturnType<Inbox["query"]>>,
    history: async (id, after) =>
      (await ask(`/v1/alarms/${encodeURIComponent(id)}/history${queryOf({ after })}`)) as unknown as Awaited<ReturnType<Inbox["history"]>>,
  };
}
