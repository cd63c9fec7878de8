// Two languages: texts stand in the code in English, and here in Chinese.
import { chinese } from "./chinese";

export type Language = "en" | "zh";

/** Where all pages keep what the user chose. */
const kept = "tocsin.lang";
const look = "tocsin.look";

function chosen(key: string): string {
  try {
    return localStorage.getItem(key) ?? "";
  } catch {
    return ""; // Then the browser decides.
  }
}

function preferred(): Language {
  const mine = chosen(kept);
  if (mine === "en" || mine === "zh") return mine;
  return navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
}

export const language: Language = preferred();

/** Chooses a language, with which the page begins anew. */
export function choose(next: Language): void {
  try {
    localStorage.setItem(kept, next);
  } catch {
    return;
  }
  location.reload();
}

/** The text in the user's language; {name} stands for what `values` says. */
export function t(text: string, values: Readonly<Record<string, string | number>> = {}): string {
  const found = language === "zh" ? (chinese[text] ?? text) : text;
  return found.replace(/\{(\w+)\}/g, (all, name: string) => (name in values ? String(values[name]) : all));
}

/** Puts the page into the user's language, where it has data-t, and into his look. */
export function dress(): void {
  document.documentElement.dataset["theme"] = chosen(look) || "auto";
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const element of document.querySelectorAll<HTMLElement>("[data-t]")) element.textContent = t(element.textContent ?? "");
}

/** The names of transports, for people. */
export function transportName(name: string): string {
  const names: Readonly<Record<string, string>> = {
    websocket: "WebSocket", sse: "SSE", longpoll: t("Long poll"), poll: t("Short poll"), page: t("Page"),
  };
  return names[name] ?? name;
}

export const transports = ["websocket", "sse", "longpoll", "poll", "page"] as const;
export const severities = ["critical", "major", "minor", "warning", "indeterminate"] as const;
