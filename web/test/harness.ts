// A client under test, in words that fit whatever runs it: this process, a browser's
// page, a mini-program's adapter, the ES5 file. Everything is JSON, so that it can be
// far away; what it saw is asked for until it is what was expected.
import type { Alarm, ConnectionState, Counts, Gap, Inbox, InboxOptions, Keep, Notice, Timing, TransportName } from "../client/src/types.js";

/** How an inbox is opened; one of `token` and `tokens`. */
export interface OpenOptions {
  readonly url: string;
  readonly token?: string;
  /** What getToken gives, one call after the other, the last one for ever. */
  readonly tokens?: readonly string[];
  readonly transports?: readonly TransportName[];
  readonly cursor?: string;
  readonly share?: boolean;
  readonly timing?: Partial<Timing>;
  /** Keeps things in this storage of the client's own; the same name is the same storage. */
  readonly storage?: string;
}

/** What a client has seen and has now. */
export interface Seen {
  readonly state: ConnectionState;
  /** Names of all states, one after the other, with the transport where there is one. */
  readonly states: readonly string[];
  readonly cursor: string | null;
  readonly counts: Counts;
  readonly alarms: readonly Alarm[];
  readonly notices: readonly Notice[];
  /** What `entries` told, in order. */
  readonly told: readonly { readonly type: string; readonly device: string; readonly rev: number; readonly id: string; readonly quiet: boolean; readonly note: string }[];
  readonly gaps: readonly Gap[];
  readonly problems: readonly string[];
  /** How often getToken was called. */
  readonly fetched: number;
}

/** What may be asked of an inbox that is open. */
export type Command = "read" | "ack" | "unack" | "clear" | "shelve" | "unshelve" | "comment" | "query" | "history" | "use" | "connect" | "close";

export interface Opened {
  seen(): Promise<Seen>;
  /** Calls a method of the inbox; rejects where that does. */
  call(name: Command, ...args: readonly unknown[]): Promise<unknown>;
}

/** Opens inboxes of one implementation. */
export type Factory = (options: OpenOptions) => Promise<Opened>;

const storages = new Map<string, Keep>();

function storageOf(name: string): Keep {
  let keep = storages.get(name);
  if (!keep) {
    const kept = new Map<string, string>();
    keep = {
      getItem: (key) => kept.get(key) ?? null,
      setItem: (key, value) => void kept.set(key, value),
      removeItem: (key) => void kept.delete(key),
    };
    storages.set(name, keep);
  }
  return keep;
}

/** Writes down what an inbox tells. */
function record(inbox: Inbox, fetched: () => number): Opened {
  const states: string[] = [];
  const told: Seen["told"][number][] = [];
  const gaps: Gap[] = [];
  const problems: string[] = [];
  inbox.on("state", (state) => states.push("transport" in state ? `${state.name} ${state.transport}` : state.name));
  inbox.on("gap", (gap) => gaps.push(gap));
  inbox.on("problem", (problem) => problems.push(problem.type));
  inbox.on("entries", (entries) => {
    for (const entry of entries) {
      const [device, rev, id] = "alarm" in entry ? [entry.alarm.device, entry.alarm.rev, entry.alarm.id] : [entry.notice.title, 0, entry.notice.id];
      told.push({ type: entry.type, device, rev, id, quiet: entry.quiet ?? false, note: "note" in entry ? (entry.note ?? "") : "" });
    }
  });
  return {
    seen: async () => ({
      state: inbox.state, states, cursor: inbox.cursor, counts: inbox.counts,
      alarms: inbox.alarms(), notices: inbox.notices(), told, gaps, problems, fetched: fetched(),
    }),
    async call(name, ...args) {
      const method = inbox[name] as (...args: readonly unknown[]) => unknown;
      return (await method(...args)) ?? null;
    },
  };
}

/** Makes a factory of createInbox, or of what brings an inbox otherwise. */
export function createFactory(createInbox: (options: InboxOptions) => Inbox | Promise<Inbox>): Factory {
  return async ({ tokens, storage, ...options }) => {
    const left = [...(tokens ?? [])];
    let fetched = 0;
    const getToken = () => {
      fetched++;
      return (left.length > 1 ? left.shift() : left[0]) ?? "";
    };
    const inbox = await createInbox({ ...options, ...(tokens ? { getToken } : {}), ...(storage === undefined ? {} : { storage: storageOf(storage) }) });
    return record(inbox, () => fetched);
  };
}

/** Asks a client until what it has seen is so. */
export async function until(client: Opened, what: string, so: (seen: Seen) => boolean, ms = 20_000): Promise<Seen> {
  for (const end = Date.now() + ms; ; ) {
    const seen = await client.seen();
    if (so(seen)) return seen;
    if (Date.now() > end) throw new Error(`${what}: not in ${ms / 1000} s; seen ${JSON.stringify({ ...seen, alarms: seen.alarms.map((a) => `${a.device} ${a.rev}`) }).slice(0, 3000)}`);
    await new Promise((soon) => setTimeout(soon, 15));
  }
}
