// Numbers and times for people.
import { h } from "./dom";
import { language, t } from "./words";

const locale = language === "zh" ? "zh-CN" : "en-GB";
const clock = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium" });
const whole = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat(locale, { maximumSignificantDigits: 3 });

const rough = new Intl.NumberFormat(locale, { maximumSignificantDigits: 2 });

export const number = (value: number): string => whole.format(value);

export const rate = (value: number): string => fine.format(value);

/** Seconds, in the unit that suits: no histogram knows more than two digits of them. */
export function seconds(value: number | null): string {
  if (value === null) return "–";
  if (value < 1) return `${rough.format(value * 1000)} ms`;
  return `${rough.format(value)} s`;
}

/** How long ago, or for how long, in a unit or two. */
export function span(milliseconds: number): string {
  const s = Math.max(0, Math.round(milliseconds / 1000));
  if (s < 60) return t("{n} s", { n: s });
  if (s < 3600) return t("{n} min", { n: Math.round(s / 60) });
  if (s < 48 * 3600) return t("{n} h {m} min", { n: Math.floor(s / 3600), m: Math.floor((s % 3600) / 60) });
  return t("{n} d {m} h", { n: Math.floor(s / 86_400), m: Math.floor((s % 86_400) / 3600) });
}

/** A moment, with the whole of it where one points at it. */
export function moment(text: string | null): HTMLElement {
  const at = text ? new Date(text) : null;
  if (!at || Number.isNaN(at.getTime())) return h("span", {}, "–");
  const today = at.toDateString() === new Date().toDateString();
  return h("time", { datetime: at.toISOString(), title: at.toISOString() }, today ? clock.format(at) : day.format(at));
}

/** How long since a moment; `ago` says it in words. */
export function since(text: string, now: number, ago = false): HTMLElement {
  const at = new Date(text);
  const time = span(now - at.getTime());
  return h("time", { datetime: text, title: day.format(at) }, ago ? t("{time} ago", { time }) : time);
}
