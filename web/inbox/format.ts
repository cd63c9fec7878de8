// Dates as the user's language and time zone have them.
import type { Language } from "./lang/index.js";

export interface Format {
  /** The time of day, with the day where that is not today. */
  time(iso: string): string;
  /** All of it. */
  full(iso: string): string;
  /** How long ago. */
  age(iso: string, now: number): string;
  readonly zone: string;
}

const units: readonly [Intl.RelativeTimeFormatUnit, number][] = [["day", 86_400], ["hour", 3600], ["minute", 60], ["second", 1]];

function tagFor(tag: string): string {
  try {
    return Intl.getCanonicalLocales(tag)[0] ?? "en";
  } catch {
    return "en";
  }
}

/** What cannot be read as a date is shown as it is. */
export function createFormat({ tag }: Language): Format {
  const locale = tagFor(tag);
  const today = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  const other = new Intl.DateTimeFormat(locale, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const full = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });
  const ago = new Intl.RelativeTimeFormat(locale, { style: "short", numeric: "always" });

  const written = (iso: string, how: (date: Date) => string): string => {
    const date = new Date(iso);
    return Number.isNaN(date.getTime()) ? iso : how(date);
  };
  return {
    time: (iso) => written(iso, (date) => (date.toDateString() === new Date().toDateString() ? today : other).format(date)),
    full: (iso) => written(iso, (date) => full.format(date)),
    age: (iso, now) => written(iso, (date) => {
      const seconds = (date.getTime() - now) / 1000;
      const [unit, length] = units.find(([, length]) => Math.abs(seconds) >= length) ?? ["second", 1];
      return ago.format(Math.trunc(seconds / length), unit);
    }),
    zone: new Intl.DateTimeFormat(locale).resolvedOptions().timeZone,
  };
}
