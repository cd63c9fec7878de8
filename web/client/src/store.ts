// What an inbox knows, and who hears of it.
import { NO_COUNTS, countsOf, createList, hush, type List } from "./list.js";
import type { Platform } from "./platform.js";
import type { Page } from "./transport.js";
import type { Alarm, ConnectionState, Counts, Entry, InboxEvents } from "./types.js";

export interface Store {
  readonly cursor: string | null;
  readonly counts: Counts;
  readonly state: ConnectionState;
  readonly list: Pick<List, "alarms" | "notices">;
  on<K extends keyof InboxEvents>(event: K, heard: (told: InboxEvents[K]) => void): () => void;
  tell<K extends keyof InboxEvents>(event: K, told: InboxEvents[K]): void;
  /** Applies what came together, and tells it: gap, entries, change. */
  page(page: Page): void;
  /** The list of another tab in place of one's own. */
  replace(page: Page): void;
  /** The whole list as one page. */
  whole(): Page;
  /** What answers to commands say, ahead of the entries. */
  alarms(alarms: readonly Alarm[]): void;
  counted(counts: Counts): void;
  become(state: ConnectionState): void;
  /** Begins at another cursor. */
  start(cursor: string | null): void;
  /** Forgets everything, to begin anew. */
  empty(): void;
}

type Ears = { [K in keyof InboxEvents]: Set<(told: InboxEvents[K]) => void> };

/** Opens a store that begins at a cursor, or at none. */
export function createStore(platform: Platform, from: string | null): Store {
  const list = createList();
  const ears: Ears = { entries: new Set(), change: new Set(), gap: new Set(), state: new Set(), problem: new Set() };
  let cursor = from;
  let counts = NO_COUNTS;
  let state: ConnectionState = { name: "connecting" };

  function tell<K extends keyof InboxEvents>(event: K, told: InboxEvents[K]): void {
    for (const heard of [...ears[event]]) {
      try {
        heard(told);
      } catch (error) {
        // The page's own error is the page's: it is thrown where it stops nothing.
        platform.later(0, () => {
          throw error;
        });
      }
    }
  }

  /** Takes counters; true: they are others than before. */
  function count(next: Counts | undefined): boolean {
    if (!next) return false;
    const before = JSON.stringify(counts);
    counts = countsOf(next);
    return JSON.stringify(counts) !== before;
  }

  /** Tells what a page has changed. */
  function changed(news: readonly Entry[], more: boolean): void {
    if (news.length > 0) tell("entries", hush(news, counts));
    if (news.length > 0 || more) tell("change", counts);
  }

  return {
    get cursor() {
      return cursor;
    },
    get counts() {
      return counts;
    },
    get state() {
      return state;
    },
    list,
    tell,
    on(event, heard) {
      ears[event].add(heard);
      return () => void ears[event].delete(heard);
    },
    page(page) {
      const emptied = page.gap ? page.gap.reason !== "compacted" : false;
      if (emptied) list.empty();
      if (page.gap) tell("gap", page.gap);
      const news = list.apply(page.entries);
      cursor = page.cursor ?? cursor;
      const counted = count(page.counts);
      changed(news, counted || emptied);
    },
    replace(page) {
      const news = list.replace(page.entries);
      cursor = page.cursor ?? null;
      count(page.counts);
      changed(news, true);
    },
    whole: () => ({ entries: list.entries(), cursor, counts }),
    alarms(alarms) {
      if (alarms.filter(list.put).length > 0) tell("change", counts);
    },
    counted(next) {
      if (count(next)) tell("change", counts);
    },
    become(next) {
      if (JSON.stringify(next) === JSON.stringify(state)) return;
      state = next;
      tell("state", next);
    },
    start: (next) => void (cursor = next),
    empty() {
      cursor = null;
      list.empty();
      tell("change", counts);
    },
  };
}
