// The lines of the list.
import type { Alarm } from "../client/src/types.js";
import type { Context } from "./context.js";
import { el, foreign, plain, put, setText } from "./dom.js";
import { icon, shape, type Icon } from "./icons.js";
import { isOpen, isShelved, type Row } from "./model.js";

/** For how long an alarm counts as new. */
export const FRESH_MS = 8000;

const cell = (name: string, ...children: readonly (Node | string | null | false)[]): HTMLElement => el("div", { role: "gridcell", class: name }, ...children);

const chip = (kind: string, text: string, title?: string): HTMLElement => el("span", { class: `chip ${kind}`, title }, text);

/** What everything that is drawn of a line depends on. */
export function stampOf(row: Row, context: Context): string {
  const { view, commands } = context;
  const now = Date.now();
  if (row.kind === "fold") {
    const picked = row.alarms.filter((alarm) => view.selected.has(alarm.id)).length;
    return [row.open, row.alarms.length, row.alarms.filter((alarm) => !alarm.acked).length, picked, row.first.id, row.first.rev].join(" ");
  }
  const { alarm } = row;
  return [alarm.id, alarm.rev, alarm.count, row.folded, view.selected.has(alarm.id), commands.busy.has(alarm.id), isFresh(alarm, context, now)].join(" ");
}

const isFresh = (alarm: Alarm, { view }: Context, now: number): boolean => now - (view.fresh.get(alarm.id) ?? -FRESH_MS) < FRESH_MS;

export function drawRow(element: HTMLElement, row: Row, context: Context): void {
  if (row.kind === "fold") drawFold(element, row, context);
  else drawAlarm(element, row.alarm, row.folded, context);
}

/** Writes anew how long ago a line's alarm was raised. */
export function ageRow(element: HTMLElement, row: Row, { format }: Context): void {
  const { last_raised_at } = row.kind === "fold" ? row.first : row.alarm;
  const age = element.querySelector(".age");
  if (age) setText(age, format.age(last_raised_at, Date.now()));
}

function raised(iso: string, { format }: Context): HTMLElement {
  return cell("raised", el("time", { datetime: iso, title: format.full(iso) }, format.time(iso)), el("span", { class: "age" }));
}

function groupsOf(alarm: Alarm): HTMLElement {
  return cell("groups", ...alarm.groups.slice(0, 3).map((group) => foreign(group)), alarm.groups.length > 3 && `+${alarm.groups.length - 3}`);
}

function stateOf(alarm: Alarm, { words, format }: Context): HTMLElement {
  const over = alarm.kind === "momentary" ? words.momentary : `${words.cleared}${alarm.cleared_at ? ` ${format.time(alarm.cleared_at)}` : ""}`;
  return cell("state",
    el("span", { class: alarm.active ? "is-active" : "is-over" }, alarm.active ? words.active : over),
    isShelved(alarm)
      ? el("span", { class: "is-shelved" }, words.shelvedUntil(format.time(alarm.shelved_until ?? "")))
      : el("span", { class: alarm.acked ? "is-acked" : "is-unacked", title: alarm.acked ? plain(alarm.ack_note ?? "") || null : null },
        alarm.acked ? (alarm.acked_by ? foreign(words.ackedBy(alarm.acked_by)) : words.acked) : words.unacked));
}

function button(name: string, sign: Icon, label: string, what: string, word: string | null, disabled: boolean): HTMLElement {
  return el("button", { type: "button", class: word ? "do-main" : "do-small", "data-do": name, disabled, title: word ? null : label, "aria-label": `${label}: ${what}` },
    icon(sign), word && el("span", {}, word));
}

function drawAlarm(element: HTMLElement, alarm: Alarm, folded: boolean, context: Context): void {
  const { words, view, commands } = context;
  const what = words.nameOf(plain(alarm.type), plain(alarm.device));
  const busy = commands.busy.has(alarm.id);
  const picked = view.selected.has(alarm.id);
  element.className = `line ${alarm.severity} ${alarm.acked ? "known" : "wants"} ${alarm.active ? "on" : "over"}${isOpen(alarm) ? "" : " ended"}${folded ? " inner" : ""}`;
  element.classList.toggle("fresh", isFresh(alarm, context, Date.now()));
  element.setAttribute("aria-selected", String(picked));
  element.dataset["id"] = alarm.id;
  put(element,
    cell("check", el("input", { type: "checkbox", "data-do": "select", checked: picked, "aria-label": words.selectOne(what) })),
    cell("severity", shape(alarm.severity, !alarm.acked), el("span", { class: "word" }, words.severities[alarm.severity])),
    cell("what",
      el("div", { class: "name" },
        el("b", {}, foreign(alarm.type, { class: "type" })), alarm.qualifier !== "" && foreign(alarm.qualifier, { class: "qualifier" }),
        el("span", { class: "on-word" }, words.on), foreign(alarm.device, { class: "device" }),
        isFresh(alarm, context, Date.now()) && chip("new", words.isNew),
        alarm.count > 1 && chip("count", `×${alarm.count}`, words.times(alarm.count)),
        (alarm.earlier_unacked ?? 0) > 0 && chip("earlier", words.earlier(alarm.earlier_unacked ?? 0), words.earlierLong(alarm.earlier_unacked ?? 0)),
        alarm.chattering === true && chip("chattering", words.chattering),
        (alarm.comments ?? 0) > 0 && el("span", { class: "chip", title: words.commentCount(alarm.comments ?? 0) }, icon("comment"), String(alarm.comments))),
      foreign(alarm.message, { class: "message" })),
    groupsOf(alarm), raised(alarm.last_raised_at, context), stateOf(alarm, context),
    cell("do",
      alarm.acked ? null : button("ack", "check", words.ack, what, words.ack, busy),
      button("comment", "comment", words.comment, what, null, busy),
      isOpen(alarm) && button("shelve", "clock", isShelved(alarm) ? words.unshelve : words.shelve, what, null, busy)));
}

function drawFold(element: HTMLElement, row: Row & { readonly kind: "fold" }, context: Context): void {
  const { words, view } = context;
  const { alarms, first, open } = row;
  const wants = alarms.filter((alarm) => !alarm.acked).length;
  const picked = alarms.filter((alarm) => view.selected.has(alarm.id)).length;
  const name = words.foldLine(alarms.length, plain(first.type));
  const worst = alarms.some((alarm) => alarm.severity === "minor") ? "minor" : first.severity;
  element.className = `line fold ${worst} ${wants > 0 ? "wants" : "known"} on`;
  element.setAttribute("aria-selected", String(picked === alarms.length));
  delete element.dataset["id"];
  const box = el("input", { type: "checkbox", "data-do": "select", checked: picked === alarms.length, "aria-label": words.selectOne(name) });
  box.indeterminate = picked > 0 && picked < alarms.length;
  put(element,
    cell("check", box),
    cell("severity", shape(worst, wants > 0), el("span", { class: "word" }, words.severities[worst])),
    cell("what",
      el("div", { class: "name" }, el("b", {}, `${alarms.length} × `, foreign(first.type, { class: "type" })), el("span", { class: "on-word" }, words.foldHint)),
      foreign([...new Set(alarms.map((alarm) => alarm.device))].slice(0, 12).join(", "), { class: "message" })),
    groupsOf(first), raised(first.last_raised_at, context),
    cell("state", el("span", { class: wants > 0 ? "is-unacked" : "is-acked" }, wants > 0 ? `${wants} ${words.unacked}` : words.acked)),
    cell("do",
      wants > 0 && button("ack", "check", words.ack, name, words.ack, false),
      el("button", { type: "button", class: "do-small", "data-do": "fold", "aria-expanded": String(open), "aria-label": `${open ? words.foldAgain : words.unfold}: ${name}`, title: open ? words.foldAgain : words.unfold }, icon(open ? "down" : "right"))));
}
