// What is said to those who hear the page: critical alarms at once, others together.
import type { Alarm, Entry } from "../client/src/types.js";
import { el, foreign, put } from "./dom.js";
import type { Words } from "./lang/index.js";
import { severities } from "./model.js";

/** Others are collected for so long. */
const TOGETHER_MS = 1500;
/** So many critical alarms are said one by one. */
const AT_ONCE = 3;

/** An entry of an alarm. */
export type Raised = Entry & { readonly alarm: Alarm };

export interface Aloud {
  readonly element: HTMLElement;
  /** Alarms that have just been raised. */
  raised(entries: readonly Raised[]): void;
  polite(text: string): void;
  close(): void;
}

export function createAloud(words: Words): Aloud {
  const assertive = el("div", { "aria-live": "assertive", "aria-atomic": "true", "data-live": "assertive" });
  const polite = el("div", { "aria-live": "polite", "aria-atomic": "true", "data-live": "polite" });
  let waiting: Raised[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;

  function flush(): void {
    timer = undefined;
    const heard = waiting.map(({ alarm }) => alarm.severity);
    waiting = [];
    const worst = severities.find((severity) => heard.includes(severity));
    if (worst) put(polite, words.heardNew(heard.length, words.severities[worst]));
  }

  return {
    element: el("div", { class: "aside" }, assertive, polite),
    raised(entries) {
      const critical = entries.filter(({ alarm }) => alarm.severity === "critical");
      if (critical.length > 0) {
        put(assertive, ...critical.slice(0, AT_ONCE).flatMap(({ alarm: { type, device, message } }) =>
          [`${words.heardCritical} `, foreign(type), ` ${words.on} `, foreign(device), ". ", foreign(message), " "]),
        critical.length > AT_ONCE && words.heardMore(critical.length - AT_ONCE));
      }
      waiting.push(...entries.filter(({ alarm, quiet }) => alarm.severity !== "critical" && quiet !== true));
      if (waiting.length > 0) timer ??= setTimeout(flush, TOGETHER_MS);
    },
    polite: (text) => put(polite, text),
    close: () => clearTimeout(timer),
  };
}
