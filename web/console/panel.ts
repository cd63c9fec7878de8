// What the parts of the console have in common.
import type { Api } from "./api";
import { wordsOf } from "./api";
import { h, put } from "./dom";

/** A panel of the console. */
export interface Panel {
  /** Its place in the address: /console#name. */
  readonly name: string;
  readonly title: string;
  /** Fills the element until the returned function is called. `query` is what follows ? in the address. */
  open(root: HTMLElement, api: Api, query: URLSearchParams): () => void;
}

export interface Told {
  readonly root: HTMLElement;
  good(text: string): void;
  bad(error: unknown): void;
  clear(): void;
}

/** A place for what came of something, read aloud when it is said. */
export function createTold(): Told {
  const root = h("div", { "aria-live": "polite" });
  const say = (kind: string, text: string): void => put(root, h("p", { class: `told ${kind}` }, text));
  return { root, good: (text) => say("good", text), bad: (error) => say("bad", wordsOf(error)), clear: () => put(root) };
}

/** Does something at once and again every so many milliseconds while the page is looked at, one call after the other. */
export function repeatedly(every: number, work: () => Promise<void>): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let over = false;
  let busy = false;
  const next = async (): Promise<void> => {
    if (over || busy || document.hidden) return;
    busy = true;
    await work().catch(() => undefined); // it tells of its own failures
    busy = false;
    if (!over) timer = setTimeout(() => void next(), every);
  };
  const seen = (): void => {
    clearTimeout(timer);
    void next();
  };
  document.addEventListener("visibilitychange", seen);
  void next();
  return () => {
    over = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", seen);
  };
}

/** Handles a form without leaving the page; its button rests meanwhile. */
export function submits(form: HTMLFormElement, told: Told, work: () => Promise<void>): void {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector<HTMLButtonElement>("button[type=submit]");
    if (button) button.disabled = true;
    told.clear();
    try {
      await work();
    } catch (error) {
      told.bad(error);
    } finally {
      if (button) button.disabled = false;
    }
  });
}

/** Names in a field, with commas or spaces between. */
export const namesIn = (text: string): string[] => text.split(/[\s,，、]+/).filter((name) => name !== "");
