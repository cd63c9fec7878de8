// What a user has chosen and what he was told, beside what the client knows. It
// outlives a change of language, which builds the panel anew.
import type { Alarm, Entry, Gap, Inbox, Notice } from "../client/src/types.js";
import { isOpen, noFilter, type Filter, type Sort } from "./model.js";

export interface View {
  filter: Filter;
  sort: Sort;
  /** The filters are in sight where there is little room. */
  filtersOpen: boolean;
  readonly selected: Set<string>;
  /** Folded lines that are opened. */
  readonly opened: Set<string>;
  /** What was loaded besides the client's list, by id. */
  readonly older: Map<string, Alarm>;
  /** Where the next older ones are; undefined before the first were loaded, null when there are none. */
  after: string | null | undefined;
  loading: boolean;
  /** Notices that the user has put away. */
  readonly put: Set<string>;
  /** The gap that was told last and not understood yet. */
  gap: Gap | null;
  /** What went wrong last. */
  problem: string;
  /** When which alarm came that was not there at the beginning, in milliseconds. */
  readonly fresh: Map<string, number>;
  /** When the list was current last. */
  current: number;
  /** There has been an answer. */
  begun: boolean;
}

export function createView(): View {
  return {
    filter: noFilter, sort: "urgency", filtersOpen: false, selected: new Set(), opened: new Set(), older: new Map(), after: undefined,
    loading: false, put: new Set(), gap: null, problem: "", fresh: new Map(), current: 0, begun: false,
  };
}

/** Forgets what belongs to the list that was. */
export function forget(view: View): void {
  view.older.clear();
  view.after = undefined;
  view.selected.clear();
  view.fresh.clear();
}

/** All alarms at hand: the client's list is newer than what was loaded. */
export function alarmsAt(inbox: Inbox, view: View): Alarm[] {
  const list = [...inbox.alarms()];
  if (view.older.size === 0) return list;
  const known = new Set(list.map((alarm) => alarm.id));
  for (const [id, alarm] of view.older) if (!known.has(id)) list.push(alarm);
  return list;
}

/** What moved away is not to be shown from what was loaded before. */
export function drop(view: View, entry: Entry): void {
  if (!("alarm" in entry) || entry.type !== "alarm.removed") return;
  const { device, type, qualifier } = entry.alarm;
  for (const [id, old] of view.older) {
    if (old.device === device && old.type === type && old.qualifier === qualifier) view.older.delete(id);
  }
}

/** Notices that nobody has put away, the newest first. */
export const noticesAt = (inbox: Inbox, view: View): Notice[] => inbox.notices().filter((notice) => !view.put.has(notice.id)).reverse();

/** Loads the next older alarms that fit the filter. */
export async function loadOlder(inbox: Inbox, view: View): Promise<void> {
  const { device, group, type, text } = view.filter;
  const page = await inbox.query({
    state: "all", limit: 200,
    ...(device && { device }), ...(group && { group }), ...(type && { type }), ...(text.trim() && { q: text.trim() }),
    ...(view.after && { after: view.after }),
  });
  // What is open is in the client's list, which stays current as this does not.
  for (const alarm of page.alarms) if (!isOpen(alarm)) view.older.set(alarm.id, alarm);
  view.after = page.next;
}

/** The choices of a filter among the alarms there are. */
export function choices(alarms: readonly Alarm[]): { readonly groups: string[]; readonly types: string[] } {
  const groups = new Set<string>();
  const types = new Set<string>();
  for (const alarm of alarms) {
    types.add(alarm.type);
    for (const group of alarm.groups) groups.add(group);
  }
  return { groups: [...groups].sort(), types: [...types].sort() };
}
