// What a click on a line does.
import type { Context, Deed } from "./context.js";
import type { List } from "./list.js";
import type { Row } from "./model.js";

export interface RowActions {
  clicked(event: Event): void;
  focused(event: Event): void;
  openRow(row: Row): void;
  select(row: Row): void;
}

const deeds: ReadonlySet<string> = new Set<Deed>(["ack", "comment", "shelve"]);
const isDeed = (name: string): name is Deed => deeds.has(name);

export function createRowActions({ view, changed, perform, open }: Context, list: List<Row>): RowActions {
  const alarmsOf = (row: Row) => (row.kind === "fold" ? row.alarms : [row.alarm]);

  function select(row: Row): void {
    const alarms = alarmsOf(row);
    const picked = alarms.every((alarm) => view.selected.has(alarm.id));
    for (const { id } of alarms) {
      if (picked) view.selected.delete(id);
      else view.selected.add(id);
    }
    changed();
  }

  function openRow(row: Row): void {
    if (row.kind === "alarm") return open(row.alarm);
    if (!view.opened.delete(row.key)) view.opened.add(row.key);
    changed();
  }

  return {
    select, openRow,
    clicked(event) {
      const target = event.target;
      if (!(target instanceof Element)) return;
      const row = list.take(target);
      if (!row) return;
      const what = target.closest("[data-do]")?.getAttribute("data-do");
      if (what === "select" || target.closest(".check")) select(row);
      else if (what === "fold") openRow(row);
      else if (what && isDeed(what)) perform(what, alarmsOf(row));
      else if (getSelection()?.toString() === "" || getSelection() === null) openRow(row);
    },
    // Tab into a line makes it the current one.
    focused(event) {
      if (event.target instanceof Element) list.take(event.target);
    },
  };
}
