// The keyboard. Keys count while the focus is in the inbox, and letters not while one
// types; so they take nothing from the page around it.
import type { Context, Deed } from "./context.js";
import type { Filters } from "./filters.js";
import type { List } from "./list.js";
import { alarmsOf, type Row } from "./model.js";
import type { Alarm } from "../client/src/types.js";

export interface Keys {
  readonly context: Context;
  readonly list: List<Row>;
  readonly filters: Filters;
  /** All alarms that are shown. */
  shown(): readonly Alarm[];
  /** Opens a line: its alarm, or what is folded in it. */
  openRow(row: Row): void;
  select(row: Row): void;
}

const deeds: Readonly<Record<string, Deed>> = { a: "ack", u: "unack", c: "comment", s: "shelve", x: "clear" };

const types = (target: EventTarget | undefined): boolean =>
  target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement || (target instanceof HTMLInputElement && target.type !== "checkbox" && target.type !== "radio");

export function createKeys({ context, list, filters, shown, openRow, select }: Keys): (event: KeyboardEvent) => void {
  const { view, changed, perform, sound } = context;

  /** What a deed is done to: what is selected, else the current line. */
  function subject(): readonly Alarm[] {
    if (view.selected.size > 0) return shown().filter((alarm) => view.selected.has(alarm.id));
    const row = list.current();
    return row ? (row.kind === "fold" ? row.alarms : alarmsOf([row])) : [];
  }

  function withRow(what: (row: Row) => void): void {
    const row = list.current();
    if (row) what(row);
  }

  function escape(): boolean {
    if (view.selected.size > 0) {
      view.selected.clear();
      changed();
      return true;
    }
    return filters.reset();
  }

  const moves: Readonly<Record<string, () => void>> = {
    ArrowDown: () => list.go(1), j: () => list.go(1), ArrowUp: () => list.go(-1), k: () => list.go(-1),
    PageDown: () => list.go(list.page()), PageUp: () => list.go(-list.page()), Home: () => list.goTo(0), End: () => list.goTo(Infinity),
  };
  const others: Readonly<Record<string, () => void>> = {
    A: context.ackShown, "/": filters.search, "?": context.help, r: context.readAll,
    m: () => { sound.mute(!sound.muted); changed(); },
  };

  return (event) => {
    const target = event.composedPath()[0];
    if (event.defaultPrevented || event.isComposing || !(target instanceof Element) || target.closest("dialog")) return;
    const { key } = event;
    const done = (what: (() => void) | undefined) => {
      if (!what) return;
      event.preventDefault();
      what();
    };
    if (key === "Escape") {
      if (escape()) event.preventDefault();
      else if (types(target)) list.focus();
      return;
    }
    const inList = target.closest('[role="grid"]') !== null;
    if (types(target)) {
      if (key === "ArrowDown" && target instanceof HTMLInputElement) done(() => list.go(0));
      return;
    }
    if ((event.ctrlKey || event.metaKey) && key === "a" && inList) {
      return done(() => { for (const alarm of shown()) view.selected.add(alarm.id); changed(); });
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (inList && moves[key]) return done(moves[key]);
    const onRow = target.getAttribute("role") === "row";
    if (onRow && key === "Enter") return done(() => withRow(openRow));
    if (onRow && key === " ") return done(() => withRow(select));
    if (inList && deeds[key]) {
      const deed = deeds[key];
      return done(() => perform(deed, subject()));
    }
    done(others[key]);
  };
}
