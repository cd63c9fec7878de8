// The panel brings its parts together, and draws them when something has changed.
import type { Alarm, Entry, Inbox } from "../client/src/types.js";
import { createAloud, type Aloud, type Raised } from "./aloud.js";
import { createBanners } from "./banners.js";
import { createBar, stateText } from "./bar.js";
import { createCommands } from "./commands.js";
import type { Context } from "./context.js";
import { createDeeds } from "./deeds.js";
import { createDetail } from "./detail.js";
import { el, setText, show } from "./dom.js";
import { createFilters } from "./filters.js";
import { createFormat } from "./format.js";
import { showHelp } from "./help.js";
import { createKeys } from "./keys.js";
import type { Language } from "./lang/index.js";
import { createList } from "./list.js";
import { alarmsOf, arrange, isOpen, isShelved, matching, wantsSound, type Row } from "./model.js";
import { createRowActions } from "./picks.js";
import { FRESH_MS, ageRow, drawRow, stampOf } from "./rows.js";
import type { Sound } from "./sound.js";
import { alarmsAt, drop, forget, loadOlder, type View } from "./view.js";

/** Changes that come together are drawn together. */
const DRAW_MS = 40;
/** What comes so soon after the beginning is what there was, not news. */
const SETTLING_MS = 1500;
/** How often the connection is written anew, and the ages, every so many times. */
const TICK_MS = 1000;
const AGE_TICKS = 10;
/** Below these widths there is less to see of each line. */
const NARROW_PX = 700;
const MEDIUM_PX = 1140;

export interface Panel {
  readonly element: HTMLElement;
  draw(): void;
  /** Draws soon. */
  changed(): void;
  open(id: string): boolean;
  focus(): void;
  close(): void;
}

export interface PanelOptions {
  readonly root: ShadowRoot;
  readonly inbox: Inbox;
  readonly view: View;
  readonly sound: Sound;
  readonly language: Language;
  /** An alarm is about to be shown; false is a wish not to. */
  opening(alarm: Alarm): boolean;
}

function createGrid({ words }: Context): { readonly scroller: HTMLElement; readonly body: HTMLElement } {
  const { columns } = words;
  const body = el("div", { role: "rowgroup", class: "lines" });
  const heads = (["select", "severity", "alarm", "groups", "raised", "state", "actions"] as const).map((name) =>
    el("div", { role: "columnheader", class: `head-${name}` }, el("span", { class: name === "select" || name === "actions" ? "aside" : "" }, columns[name])));
  const scroller = el("div", { class: "grid", role: "grid", "aria-label": words.inbox, "aria-multiselectable": "true", tabindex: -1 },
    el("div", { role: "rowgroup", class: "heads" }, el("div", { role: "row", class: "head", "aria-rowindex": 1 }, ...heads)), body);
  return { scroller, body };
}

/** The line below: how many are shown, the time zone, and older ones. */
function createFoot(context: Context): { readonly element: HTMLElement; draw(all: readonly Alarm[], shown: number): void } {
  const { words, view, inbox, commands, changed, format } = context;
  const says = el("span");
  const older = el("button", { type: "button", class: "plain", "data-do": "older", click: () => void load() });

  async function load(): Promise<void> {
    if (view.filter.state !== "all") view.filter = { ...view.filter, state: "all" };
    if (view.after === null || view.loading) return changed();
    view.loading = true;
    changed();
    if (!await commands.run(() => loadOlder(inbox, view))) view.after = undefined;
    view.loading = false;
    changed();
  }

  return {
    element: el("div", { class: "foot" }, says, el("span", { class: "zone" }, words.timezone(format.zone)), older),
    draw(all, shown) {
      setText(says, words.footer(shown, all.filter(isOpen).length, all.filter(isShelved).length));
      setText(older, view.loading ? words.loadingOlder : view.after === null && view.filter.state === "all" ? words.noOlder : words.loadOlder);
      older.disabled = view.loading || (view.after === null && view.filter.state === "all");
    },
  };
}

/** Hears the client, and keeps in the view what has to be told. */
function listen(context: Context, aloud: Aloud): () => void {
  const { inbox, view, changed, words } = context;
  let away = false;
  let settled = Date.now() + SETTLING_MS;
  const isNews = (entry: Entry) => "alarm" in entry && (entry.type === "alarm.raised" || (entry.type === "alarm.updated" && entry.alarm.severity === "critical" && !entry.alarm.acked));
  const ends = [
    inbox.on("entries", (entries) => {
      for (const entry of entries) drop(view, entry);
      if (Date.now() < settled) return;
      const news = entries.filter((entry): entry is Raised => isNews(entry));
      for (const { alarm } of news) view.fresh.set(alarm.id, Date.now());
      if (news.length > 0) setTimeout(changed, FRESH_MS + 50);
      aloud.raised(news);
    }),
    inbox.on("change", changed),
    inbox.on("gap", (gap) => {
      view.gap = gap;
      if (gap.reason !== "compacted") forget(view);
      settled = Date.now() + SETTLING_MS;
      changed();
    }),
    inbox.on("state", (state) => {
      const here = state.name === "live" || state.name === "polling";
      // That it is not there is told by a banner.
      if (here && away) aloud.polite(words.heardState(stateText(state, true, context)));
      if (here) view.begun = true;
      else if (!away) view.current = Date.now();
      away = view.begun && !here;
      changed();
    }),
    inbox.on("problem", (problem) => {
      view.problem = problem.detail ? `${problem.title}: ${problem.detail}` : problem.title;
      changed();
    }),
  ];
  return () => ends.forEach((end) => end());
}

export function createPanel({ root, inbox, view, sound, language, opening }: PanelOptions): Panel {
  const { words } = language;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let chime: ReturnType<typeof setTimeout> | undefined;
  let all: Alarm[] = [];
  let shown: readonly Alarm[] = [];
  let rows: readonly Row[] = [];

  const changed = () => { timer ??= setTimeout(draw, DRAW_MS); };
  const aloud = createAloud(words);
  const commands = createCommands({
    inbox, words, changed, acknowledged: (n) => aloud.polite(words.heardDone(n)),
    failed: (text) => { view.problem = text; changed(); },
  });
  const deeds = createDeeds({ root, words, inbox, commands });
  const context: Context = {
    words, format: createFormat(language), inbox, view, commands, sound, changed, perform: deeds.perform,
    open: (alarm) => { if (opening(alarm)) detail.open(alarm); },
    ackShown: () => deeds.ackMany(shown),
    readAll: () => void commands.run(() => inbox.read()),
    help: () => showHelp(root, context),
  };
  const detail = createDetail(root, context, (id) => all.find((alarm) => alarm.id === id));
  const bar = createBar(context);
  const banners = createBanners(context);
  const filters = createFilters(context);
  const { scroller, body } = createGrid(context);
  const list = createList<Row>({
    scroller, body, before: 1, stamp: (row) => stampOf(row, context),
    draw: (element, row) => drawRow(element, row, context), age: (element, row) => ageRow(element, row, context),
  });
  const empty = el("p", { class: "empty", role: "status" });
  const foot = createFoot(context);
  const element = el("div", { class: "panel", role: "region", "aria-label": words.inbox, lang: language.tag },
    bar.element, banners.element, filters.element, el("div", { class: "stage" }, scroller, empty), foot.element, aloud.element);
  const actions = createRowActions(context, list);
  body.addEventListener("click", actions.clicked);
  body.addEventListener("focusin", actions.focused);
  element.addEventListener("keydown", createKeys({ context, list, filters, shown: () => shown, openRow: actions.openRow, select: actions.select }));
  const unlisten = listen(context, aloud);

  function fit(): void {
    const width = element.clientWidth;
    if (width === 0) return;
    element.classList.toggle("narrow", width < NARROW_PX);
    element.classList.toggle("medium", width >= NARROW_PX && width < MEDIUM_PX);
    const height = Number.parseFloat(getComputedStyle(body).getPropertyValue("--row"));
    if (height > 0) list.measure(height);
  }
  const size = new ResizeObserver(fit);
  size.observe(element);
  size.observe(scroller);
  let ticks = 0;
  const clock = setInterval(() => {
    bar.draw();
    if (++ticks % AGE_TICKS === 0) list.redraw();
  }, TICK_MS);

  function draw(): void {
    clearTimeout(timer);
    timer = undefined;
    all = alarmsAt(inbox, view);
    const fitting = matching(all, view.filter);
    rows = arrange(fitting, view.sort, inbox.counts.flood !== undefined, view.opened);
    shown = fitting;
    const known = new Set(all.map((alarm) => alarm.id));
    for (const id of view.selected) if (!known.has(id)) view.selected.delete(id);
    filters.told(all, shown);
    bar.draw();
    banners.draw();
    filters.draw();
    list.set(rows);
    foot.draw(all, alarmsOf(rows).length);
    show(empty, rows.length === 0);
    setText(empty, !view.begun ? words.waiting : all.some(isOpen) ? words.noMatch : `${words.nothing} ${words.nothingText}`);
    detail.draw();
    // The first sound takes a browser its time, which must not be the picture's.
    clearTimeout(chime);
    chime = setTimeout(() => sound.want(all.some(wantsSound)));
  }

  return {
    element, changed, draw,
    open(id) {
      const alarm = all.find((one) => one.id === id);
      if (alarm) context.open(alarm);
      return alarm !== undefined;
    },
    focus: list.focus,
    close() {
      clearTimeout(timer);
      clearTimeout(chime);
      clearInterval(clock);
      size.disconnect();
      aloud.close();
      unlisten();
      root.querySelectorAll("dialog").forEach((dialog) => dialog.close());
    },
  };
}
