// The filters, and what is done to all that they show.
import type { Alarm } from "../client/src/types.js";
import type { Part } from "./bar.js";
import type { Context } from "./context.js";
import { el, put, setAttribute, setText, show } from "./dom.js";
import { icon } from "./icons.js";
import { noFilter, wishes, type Filter, type Sort } from "./model.js";
import { choices } from "./view.js";

/** The most choices that a list of them offers. */
const MOST = 300;

export interface Filters extends Part {
  /** Which alarms there are, before and after the filter. */
  told(all: readonly Alarm[], shown: readonly Alarm[]): void;
  search(): void;
  reset(): boolean;
}

function options<K extends string>(words: Readonly<Record<K, string>>): HTMLOptionElement[] {
  return Object.entries<string>(words).map(([value, word]) => el("option", { value }, word));
}

function labelled(text: string, control: HTMLElement): HTMLElement {
  return el("label", { class: "field" }, el("span", {}, text), control);
}

/** A choice of what there is; the chosen one stays on offer when it is gone. */
function createChoice(none: string): { readonly select: HTMLSelectElement; offer(values: readonly string[], chosen: string): void } {
  const select = el("select");
  let offered = "";
  return {
    select,
    offer(values, chosen) {
      const all = chosen && !values.includes(chosen) ? [chosen, ...values] : values;
      const now = all.slice(0, MOST).join("\n");
      if (now !== offered || select.options.length === 0) {
        offered = now;
        put(select, el("option", { value: "" }, none), ...all.slice(0, MOST).map((value) => el("option", { value }, value)));
      }
      if (select.value !== chosen) select.value = chosen;
    },
  };
}

function createActions(context: Context, all: () => readonly Alarm[]): Part {
  const { words, view, changed, perform, ackShown } = context;
  const box = el("input", { type: "checkbox", "data-do": "select-all", "aria-label": words.selectAll, change: pickAll });
  const says = el("span", { class: "says" });
  const act = (name: "ack" | "shelve", word: string, kind: string) =>
    el("button", { type: "button", class: kind, "data-do": `${name}-selected`, click: () => perform(name, picked()) }, icon(name === "ack" ? "check" : "clock"), word);
  const ofSelected = [act("ack", words.ackSelected, "primary"), act("shelve", words.shelve, "plain"),
    el("button", { type: "button", class: "link", "data-do": "deselect", click: () => { view.selected.clear(); changed(); } }, words.deselect)];
  const ackAll = el("button", { type: "button", class: "plain", "data-do": "ack-all", click: ackShown });

  const picked = () => all().filter((alarm) => view.selected.has(alarm.id));
  function pickAll(): void {
    if (box.checked) for (const alarm of all()) view.selected.add(alarm.id);
    else view.selected.clear();
    changed();
  }

  return {
    element: el("div", { class: "actions" }, el("label", { class: "pick" }, box, says), ...ofSelected, ackAll),
    draw() {
      const n = picked().length;
      const shown = all();
      const wants = shown.reduce((sum, alarm) => sum + Number(!alarm.acked), 0);
      box.checked = n > 0 && n >= shown.length;
      box.indeterminate = n > 0 && n < shown.length;
      box.disabled = shown.length === 0;
      setText(says, n > 0 ? words.selected(n) : words.shown(shown.length));
      for (const button of ofSelected) show(button, n > 0);
      show(ackAll, n === 0 && wants > 0);
      setText(ackAll, words.ackAllShown(wants));
    },
  };
}

export function createFilters(context: Context): Filters {
  const { words, view, changed } = context;
  let all: readonly Alarm[] = [];
  let shown: readonly Alarm[] = [];

  const set = (wish: Partial<Filter>) => {
    view.filter = { ...view.filter, ...wish };
    view.after = undefined; // what is older is asked for with the filter
    changed();
  };
  const text = el("input", { type: "search", "data-do": "search", placeholder: words.searchHint, "aria-label": words.search, autocomplete: "off", spellcheck: "false", input: () => set({ text: text.value }) });
  const state = el("select", { "data-do": "state", change: () => set({ state: state.value as Filter["state"] }) }, ...options(words.filterStates));
  const group = createChoice(words.anything);
  const type = createChoice(words.anything);
  const device = el("input", { type: "text", "data-do": "device", autocomplete: "off", spellcheck: "false", placeholder: words.anything, input: () => set({ device: device.value }) });
  const sort = el("select", { "data-do": "sort", change: () => { view.sort = sort.value as Sort; changed(); } }, ...options(words.sorts));
  group.select.dataset["do"] = "group";
  type.select.dataset["do"] = "type";
  group.select.addEventListener("change", () => set({ group: group.select.value }));
  type.select.addEventListener("change", () => set({ type: type.select.value }));

  const reset = () => {
    const had = wishes(view.filter) + view.filter.severities.size > 0;
    if (had) set(noFilter);
    return had;
  };
  const clear = el("button", { type: "button", class: "link", "data-do": "reset", click: () => void reset() }, words.resetFilters);
  const more = el("div", { class: "more", id: "more-filters" },
    labelled(words.filterState, state), labelled(words.filterGroup, group.select), labelled(words.filterType, type.select), labelled(words.filterDevice, device), labelled(words.sort, sort), clear);
  const badge = el("b");
  const toggle = el("button", { type: "button", class: "plain toggle", "data-do": "filters", "aria-expanded": "false", "aria-controls": "more-filters", click: () => { view.filtersOpen = !view.filtersOpen; changed(); } },
    icon("filter"), el("span", {}, words.filters), badge);
  const actions = createActions(context, () => shown);
  const element = el("div", { class: "filters" },
    el("div", { class: "find", role: "search" }, el("span", { class: "search" }, icon("search"), text), toggle, more), actions.element);

  return {
    element, reset,
    search: () => { text.focus(); text.select(); },
    told(nowAll, nowShown) {
      all = nowAll;
      shown = nowShown;
    },
    draw() {
      const { filter } = view;
      const offered = choices(all);
      group.offer(offered.groups, filter.group);
      type.offer(offered.types, filter.type);
      if (text.value !== filter.text) text.value = filter.text;
      if (device.value !== filter.device) device.value = filter.device;
      if (sort.value !== view.sort) sort.value = view.sort;
      if (state.value !== filter.state) state.value = filter.state;
      const n = wishes(filter);
      show(clear, n + filter.severities.size > 0);
      setText(badge, n > 0 ? String(n) : "");
      element.classList.toggle("opened", view.filtersOpen);
      setAttribute(toggle, "aria-expanded", String(view.filtersOpen));
      actions.draw();
    },
  };
}
