// What is shown of all alarms, and in which order. Nothing here knows the DOM.
import type { Alarm, Severity } from "../client/src/types.js";

/** The worst first. */
export const severities: readonly Severity[] = ["critical", "major", "minor", "warning", "indeterminate"];

/** Indeterminate stands beside minor (docs/protocol.md §9). */
const rank: Readonly<Record<Severity, number>> = { critical: 0, major: 1, minor: 2, indeterminate: 2, warning: 3 };

export type StateFilter = "open" | "unacked" | "active" | "shelved" | "all";
export type Sort = "urgency" | "newest";

/** What the user wants to see; empty is no wish. */
export interface Filter {
  readonly severities: ReadonlySet<Severity>;
  readonly state: StateFilter;
  readonly text: string;
  readonly device: string;
  readonly group: string;
  readonly type: string;
}

export const noFilter: Filter = { severities: new Set(), state: "open", text: "", device: "", group: "", type: "" };

/** How many wishes there are besides the severities. */
export const wishes = (filter: Filter): number =>
  Number(filter.state !== "open") + [filter.text, filter.device, filter.group, filter.type].filter((wish) => wish !== "").length;

/** A line of the list: an alarm, or lesser ones of a flood in one. */
export type Row =
  | { readonly kind: "alarm"; readonly key: string; readonly alarm: Alarm; readonly folded: boolean }
  | { readonly kind: "fold"; readonly key: string; readonly alarms: readonly Alarm[]; readonly first: Alarm; readonly open: boolean };

export const isOpen = (alarm: Alarm): boolean => alarm.active || !alarm.acked;
export const isShelved = (alarm: Alarm): boolean => typeof alarm.shelved_until === "string";
/** What sounds until somebody knows of it. */
export const wantsSound = (alarm: Alarm): boolean => alarm.severity === "critical" && !alarm.acked && !isShelved(alarm);

const states: Readonly<Record<StateFilter, (alarm: Alarm) => boolean>> = {
  open: (alarm) => isOpen(alarm) && !isShelved(alarm),
  unacked: (alarm) => !alarm.acked && !isShelved(alarm),
  active: (alarm) => alarm.active && !isShelved(alarm),
  shelved: isShelved,
  all: () => true,
};

function has(alarm: Alarm, text: string): boolean {
  const inside = (value: string) => value.toLowerCase().includes(text);
  return inside(alarm.message) || inside(alarm.device) || inside(alarm.type) || inside(alarm.qualifier) || Object.values(alarm.attrs).some(inside);
}

/** Those that the filter lets through. */
export function matching(alarms: readonly Alarm[], filter: Filter): Alarm[] {
  const text = filter.text.trim().toLowerCase();
  const device = filter.device.trim().toLowerCase();
  const ofState = states[filter.state];
  return alarms.filter((alarm) => ofState(alarm)
    && (filter.severities.size === 0 || filter.severities.has(alarm.severity))
    && (filter.type === "" || alarm.type === filter.type)
    && (filter.group === "" || alarm.groups.includes(filter.group))
    && (device === "" || alarm.device.toLowerCase().startsWith(device))
    && (text === "" || has(alarm, text)));
}

const later = (a: string, b: string): number => (a < b ? 1 : a > b ? -1 : 0);
const newest = (a: Alarm, b: Alarm): number => later(a.last_raised_at, b.last_raised_at) || later(a.id, b.id);
const urgent = (a: Alarm, b: Alarm): number =>
  Number(a.acked) - Number(b.acked) || Number(b.active) - Number(a.active) || rank[a.severity] - rank[b.severity] || newest(a, b);

const folds = (alarm: Alarm): boolean => alarm.severity === "minor" || alarm.severity === "warning";
const foldKey = (alarm: Alarm): string => `fold ${JSON.stringify([alarm.groups, alarm.type])}`;

/** The lines to show. In a flood lesser alarms are one line a group and type, unless it is opened. */
export function arrange(alarms: Alarm[], sort: Sort, flood: boolean, opened: ReadonlySet<string>): Row[] {
  alarms.sort(sort === "urgency" ? urgent : newest);
  const one = (alarm: Alarm, folded = false): Row => ({ kind: "alarm", key: alarm.id, alarm, folded });
  if (!flood) return alarms.map((alarm) => one(alarm));

  const together = new Map<string, Alarm[]>();
  for (const alarm of alarms) {
    if (!folds(alarm)) continue;
    const key = foldKey(alarm);
    const known = together.get(key);
    if (known) known.push(alarm);
    else together.set(key, [alarm]);
  }
  const rows: Row[] = [];
  for (const alarm of alarms) {
    const key = folds(alarm) ? foldKey(alarm) : "";
    const fold = together.get(key);
    if (!fold || fold.length < 2) rows.push(one(alarm));
    else if (fold[0] === alarm) {
      const open = opened.has(key);
      rows.push({ kind: "fold", key, alarms: fold, first: alarm, open });
      if (open) rows.push(...fold.map((each) => one(each, true)));
    }
  }
  return rows;
}

/** The alarms that lines stand for. */
export const alarmsOf = (rows: readonly Row[]): Alarm[] =>
  rows.flatMap((row) => (row.kind === "fold" ? (row.open ? [] : row.alarms) : [row.alarm]));
