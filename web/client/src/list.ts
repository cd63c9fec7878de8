// The inbox as its entries tell it (docs/protocol.md §3, §8): what there is, in which
// state. It knows neither the network nor the page.
import type { Alarm, Counts, Entry, Notice } from "./types.js";

/** What is over, cleared and acknowledged, is kept to be looked at, but not for ever. Notices likewise. */
const MOST_DONE = 1000;
/** Of so many alarms it is remembered what was told, so that nothing is told twice. */
const MOST_TOLD = 20_000;

export interface List {
  /** Takes entries in their order; returns those that are news. */
  apply(entries: readonly Entry[]): readonly Entry[];
  /** Takes the answer to a command, which may be here before the entry that tells everybody. True: it was news. */
  put(alarm: Alarm): boolean;
  /** Forgets what is there, and what was told. */
  empty(): void;
  /** Another list in place of this one; returns what of it is news. */
  replace(entries: readonly Entry[]): readonly Entry[];
  alarms(): readonly Alarm[];
  notices(): readonly Notice[];
  /** The newest entry of everything, in order: what a list is made of elsewhere. */
  entries(): readonly Entry[];
}

/** What has one place: an alarm by its name, whichever its occurrence; a notice by itself. */
function keyOf(entry: Entry): string | null {
  if ("alarm" in entry) return JSON.stringify([entry.alarm.device, entry.alarm.type, entry.alarm.qualifier]);
  return "notice" in entry ? entry.notice.id : null; // null: of a later version
}

/** What counts up: revisions run through all occurrences of an alarm. */
const revOf = (entry: Entry) => ("alarm" in entry ? entry.alarm.rev : 0);

const isDone = (entry: Entry) => !("alarm" in entry) || (!entry.alarm.active && entry.alarm.acked);

/** Shortens a map to its newest members. */
function trim<V>(map: Map<string, V>, most: number): void {
  for (const key of map.keys()) {
    if (map.size <= most) return;
    map.delete(key);
  }
}

export function createList(): List {
  const items = new Map<string, Entry>();
  const done = new Map<string, true>();
  const told = new Map<string, number>();

  function set(key: string, entry: Entry): void {
    items.delete(key); // to the end
    items.set(key, entry);
    done.delete(key);
    if (!isDone(entry)) return;
    done.set(key, true);
    if (done.size <= MOST_DONE) return;
    for (const [oldest] of done) {
      done.delete(oldest);
      items.delete(oldest);
      break;
    }
  }

  function applyOne(entry: Entry): boolean {
    const key = keyOf(entry);
    if (key === null) return false;
    const rev = revOf(entry);
    const last = told.get(key) ?? -1;
    const removed = entry.type === "alarm.removed";
    const known = items.get(key);
    // What was never here is told all the same: whoever came with a cursor may list it.
    if (removed ? rev < last || (!known && last >= 0) : rev <= last) return false;
    told.delete(key);
    told.set(key, rev);
    if (removed) {
      items.delete(key);
      done.delete(key);
    } else if (!known || revOf(known) <= rev) {
      set(key, entry);
    }
    return true;
  }

  return {
    apply(entries) {
      const news = entries.filter(applyOne);
      trim(told, Math.max(MOST_TOLD, 2 * items.size));
      return news;
    },
    put(alarm) {
      const entry: Entry = { seq: 0, type: "alarm.updated", time: "", by: "", alarm };
      const key = keyOf(entry) ?? "";
      const known = items.get(key);
      // What is not in the list stays out: its entry, if there is one, decides.
      if (!known || revOf(known) >= alarm.rev) return false;
      set(key, { ...known, alarm } as Entry);
      return true;
    },
    empty() {
      items.clear();
      done.clear();
      told.clear();
    },
    replace(entries) {
      items.clear();
      done.clear();
      const news = entries.filter(applyOne);
      for (const entry of entries) set(keyOf(entry) ?? "", entry);
      return news;
    },
    alarms: () => [...items.values()].flatMap((entry) => ("alarm" in entry ? [entry.alarm] : [])),
    notices: () => [...items.values()].flatMap((entry) => ("notice" in entry ? [entry.notice] : [])),
    entries: () => [...items.values()],
  };
}

export const NO_COUNTS: Counts = { unread: 0, active: { critical: 0, major: 0, minor: 0, warning: 0, indeterminate: 0 } };

/** The counters of whatever stands beside them. */
export function countsOf({ unread, active, flood }: Counts): Counts {
  return { unread, active, ...(flood ? { flood } : {}) };
}

/** In a flood, lesser alarms make no sound (docs/protocol.md §3). */
export function hush(entries: readonly Entry[], counts: Counts): readonly Entry[] {
  if (!counts.flood) return entries;
  return entries.map((entry) => {
    const lesser = "alarm" in entry && (entry.alarm.severity === "minor" || entry.alarm.severity === "warning");
    return lesser ? { ...entry, quiet: true } : entry;
  });
}
