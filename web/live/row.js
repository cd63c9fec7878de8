// One row of the list: what an alarm or a notice looks like.
import { SEVERITIES } from "./inbox.js";
import { el, time } from "./dom.js";

// A severity is told by word, by shape and by colour, so that each will do alone.
const SHAPES = { critical: "■", major: "▲", minor: "◆", warning: "●", indeterminate: "○", notice: "□" };
const SHOWN_ATTRS = 6;

export function severity(word) {
  return el("span", { class: "severity" }, el("span", { "aria-hidden": "true" }, SHAPES[word]), ` ${word}`);
}

const known = (word) => (SEVERITIES.includes(word) ? word : "indeterminate");

function attributes(list) {
  const line = el("p", { class: "attrs" });
  list.forEach(([name, value], i) => {
    if (i > 0) line.append(", ");
    line.append(el("span", { class: "attr" }, el("bdi", null, name), " ", el("b", null, el("bdi", null, value))));
  });
  return line;
}

function attributesOf(alarm) {
  const all = Object.entries(alarm.attrs || {}).sort(([a], [b]) => (a < b ? -1 : 1));
  if (all.length === 0) return [];
  const more = all.slice(SHOWN_ATTRS);
  const folded = more.length ? el("details", null, el("summary", null, `${more.length} more`), attributes(more)) : null;
  return [attributes(all.slice(0, SHOWN_ATTRS)), folded];
}

function what(alarm) {
  return el("td", { class: "what" },
    el("b", { class: "name" }, el("bdi", null, alarm.type)),
    alarm.qualifier ? " " : null,
    alarm.qualifier ? el("bdi", { class: "qualifier" }, alarm.qualifier) : null,
    " on ", el("bdi", { class: "device" }, alarm.device),
    alarm.groups && alarm.groups.length ? el("span", { class: "groups" }, " for ", el("bdi", null, alarm.groups.join(", "))) : null,
    alarm.message ? el("p", { class: "text", dir: "auto" }, alarm.message) : null,
    ...attributesOf(alarm));
}

function when(alarm) {
  const cell = el("td", { class: "when" }, time(alarm.raised_at));
  if (alarm.count > 1) cell.append(el("p", { class: "again" }, `${alarm.count} times, last `, time(alarm.last_raised_at)));
  return cell;
}

// condition and response say what is, and what people did: they are apart.
function condition(alarm) {
  if (alarm.active) return el("p", { class: "state active" }, "active");
  const why = alarm.clear_reason && alarm.clear_reason !== "reported" ? ` (${alarm.clear_reason})` : null;
  return el("p", { class: "state" }, "cleared ", alarm.cleared_at ? time(alarm.cleared_at) : null, why);
}

function response(alarm) {
  if (!alarm.acked) return el("p", { class: "state unacknowledged" }, "unacknowledged");
  return el("p", { class: "state" }, "acknowledged by ", el("bdi", null, alarm.acked_by || "somebody"), " ",
    alarm.acked_at ? time(alarm.acked_at) : null,
    alarm.ack_note ? el("span", { class: "note", dir: "auto" }, ` (${alarm.ack_note})`) : null);
}

// asides are what else there is to say: it is set aside, or it will not settle.
function asides(alarm) {
  const list = [];
  if (alarm.shelved_until) {
    list.push(el("p", { class: "state" }, "shelved until ", time(alarm.shelved_until), " by ", el("bdi", null, alarm.shelved_by || "somebody")));
  }
  if (alarm.chattering) list.push(el("p", { class: "state" }, "chattering"));
  return list;
}

function states(row, acknowledge) {
  const { alarm } = row;
  const cell = el("td", { class: "states" }, condition(alarm), ...asides(alarm), response(alarm));
  if (alarm.earlier_unacked > 0) cell.append(el("p", null, `${alarm.earlier_unacked} earlier unacknowledged`));
  if (!alarm.acked || alarm.earlier_unacked > 0) {
    const button = el("button", { type: "button", "aria-label": `Acknowledge ${alarm.type} on ${alarm.device}` }, "Acknowledge");
    button.addEventListener("click", () => acknowledge(row, button));
    cell.append(button);
  }
  return cell;
}

function cells(row, acknowledge) {
  const fresh = row.fresh ? [" ", el("mark", null, "new")] : [];
  if (row.notice) {
    const { title, body, from } = row.notice;
    return [
      el("td", null, severity("notice"), ...fresh),
      el("td", { class: "what" }, el("b", { class: "name" }, el("bdi", null, title)), " from ",
        el("bdi", { class: "device" }, from), body ? el("p", { class: "text", dir: "auto" }, body) : null),
      el("td", { class: "when" }, time(row.time)),
      el("td", { class: "states" }, el("p", { class: "state" }, row.done ? "read" : "unread")),
    ];
  }
  return [
    el("td", null, severity(known(row.alarm.severity)), ...fresh),
    what(row.alarm), when(row.alarm), states(row, acknowledge),
  ];
}

// draw fills the table row for it. A button that has the focus keeps it.
export function draw(tr, row, acknowledge) {
  const focused = tr.contains(document.activeElement) && document.activeElement.tagName === "BUTTON";
  const word = row.notice ? "notice" : known(row.alarm.severity);
  tr.className = [word, row.done ? "done" : "", row.fresh ? "fresh" : ""].filter(Boolean).join(" ");
  tr.replaceChildren(...cells(row, acknowledge));
  if (focused) tr.querySelector("button")?.focus();
}
