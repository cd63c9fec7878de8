// One alarm with all that is known of it, and its history.
import type { Alarm } from "../client/src/types.js";
import type { Context, Deed } from "./context.js";
import { showDialog } from "./dialogs.js";
import { el, foreign, put, show } from "./dom.js";
import { createHistory } from "./history.js";
import { icon, shape, type Icon } from "./icons.js";
import { isOpen, isShelved } from "./model.js";

export interface Detail {
  /** Shows an alarm until the user closes it. */
  open(alarm: Alarm): void;
  /** Takes the newest state of what is shown. */
  draw(): void;
}

type Fact = readonly [name: string, value: Node | string];

function factsOf(alarm: Alarm, { words, format }: Context): Fact[] {
  const { facts } = words;
  const time = (iso: string) => el("time", { datetime: iso }, format.full(iso));
  const state = [alarm.active ? words.active : words.cleared, alarm.acked ? words.acked : words.unacked].join(", ");
  const list: (Fact | false)[] = [
    [facts.state, state],
    [facts.device, foreign(alarm.device)],
    alarm.qualifier !== "" && [facts.qualifier, foreign(alarm.qualifier)],
    [facts.groups, foreign(alarm.groups.join(", "))],
    [facts.raised, time(alarm.raised_at)],
    alarm.count > 1 && [facts.lastRaised, time(alarm.last_raised_at)],
    alarm.count > 1 && [facts.count, words.times(alarm.count)],
    alarm.received_at !== alarm.raised_at && [facts.received, time(alarm.received_at)],
    alarm.cleared_at !== null && [facts.cleared, el("span", {}, time(alarm.cleared_at), alarm.clear_reason ? ` (${words.clearReasons[alarm.clear_reason] ?? alarm.clear_reason})` : "")],
    alarm.severity_max !== alarm.severity && [facts.worst, words.severities[alarm.severity_max]],
    [facts.occurrence, String(alarm.occurrence)],
    alarm.acked && [facts.acked, el("span", {}, foreign(alarm.acked_by ?? ""), " ", alarm.acked_at !== null && time(alarm.acked_at))],
    alarm.acked && !!alarm.ack_note && [facts.note, foreign(alarm.ack_note)],
    isShelved(alarm) && [facts.shelved, el("span", {}, time(alarm.shelved_until ?? ""), " ", alarm.shelved_by ? foreign(words.by(alarm.shelved_by)) : "")],
    (alarm.earlier_unacked ?? 0) > 0 && ["", words.earlierLong(alarm.earlier_unacked ?? 0)],
    [facts.id, foreign(alarm.id, { class: "id" })],
  ];
  return list.filter((fact): fact is Fact => fact !== false);
}

const table = (list: readonly Fact[]): HTMLElement => el("dl", {}, ...list.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));

function deedsOf(alarm: Alarm, { words, perform, commands }: Context): HTMLElement {
  const busy = commands.busy.has(alarm.id);
  const deed = (name: Deed, sign: Icon, word: string, kind: string) =>
    el("button", { type: "button", class: kind, "data-do": name, disabled: busy, click: () => perform(name, [alarm]) }, icon(sign), word);
  return el("div", { class: "deeds" },
    alarm.acked ? deed("unack", "undo", words.unack, "plain") : deed("ack", "check", words.ack, "primary"),
    deed("comment", "comment", words.comment, "plain"),
    isOpen(alarm) ? deed("shelve", "clock", isShelved(alarm) ? words.unshelve : words.shelve, "plain") : "",
    alarm.active ? deed("clear", "close", words.clear, "plain") : "");
}

/** `find` gives the present state of an alarm, if there is one at hand. */
export function createDetail(root: ShadowRoot, context: Context, find: (id: string) => Alarm | undefined): Detail {
  const { words, view, changed, commands } = context;
  let showing: { alarm: Alarm; stamp: string; draw(): void } | null = null;

  function only(dialog: () => HTMLDialogElement, label: string, wish: { readonly device?: string; readonly type?: string }): HTMLElement {
    return el("button", { type: "button", class: "link", click: () => {
      view.filter = { ...view.filter, ...wish };
      dialog().close();
      changed();
    } }, label);
  }

  function open(first: Alarm): void {
    const top = el("div", { class: "dialog-head" });
    const text = el("p", { class: "message" });
    const deeds = el("div");
    const facts = el("div");
    const attrs = el("div");
    const history = createHistory(context, first.id);
    const dialog: HTMLDialogElement = el("dialog", { class: "detail", "aria-labelledby": "detail-title" }, top,
      el("div", { class: "detail-body" }, text, deeds, facts, attrs,
        el("p", { class: "only" }, only(() => dialog, words.only.device, { device: first.device }), only(() => dialog, words.only.type, { type: first.type })),
        history.element));
    const shut = el("button", { type: "button", class: "do-small", "data-do": "close", "aria-label": words.close, title: words.close, autofocus: true, click: () => dialog.close() }, icon("close"));
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

    const now = {
      alarm: first, stamp: "",
      draw() {
        const { alarm } = now;
        const held = root.activeElement?.getAttribute("data-do");
        dialog.className = `detail ${alarm.severity}`;
        put(top, el("span", { class: "severity" }, shape(alarm.severity, !alarm.acked), el("span", { class: "word" }, words.severities[alarm.severity])),
          el("h2", { id: "detail-title" }, foreign(alarm.type), el("small", {}, ` ${words.on} `, foreign(alarm.device))), shut);
        put(text, foreign(alarm.message));
        show(text, alarm.message !== "");
        put(deeds, deedsOf(alarm, context));
        put(facts, table(factsOf(alarm, context)));
        const pairs = Object.entries(alarm.attrs);
        put(attrs, ...(pairs.length === 0 ? [] : [el("h3", {}, words.attributes), el("dl", { class: "attrs" }, ...pairs.map(([name, value]) =>
          el("div", {}, el("dt", {}, foreign(name)), el("dd", {}, foreign(value)))))]));
        if (held && dialog.open && !root.activeElement) (deeds.querySelector<HTMLElement>(`[data-do="${held}"]`) ?? shut).focus();
        history.load(alarm.rev);
      },
    };
    showing = now;
    draw();
    void showDialog(root, dialog).then(() => { showing = null; });
  }

  function draw(): void {
    if (!showing) return;
    const { alarm } = showing;
    const newest = find(alarm.id) ?? alarm;
    const stamp = `${newest.rev} ${newest.count} ${commands.busy.has(alarm.id)}`;
    if (stamp === showing.stamp) return;
    showing.stamp = stamp;
    showing.alarm = newest.rev >= alarm.rev ? newest : alarm;
    showing.draw();
  }

  return { open, draw };
}
