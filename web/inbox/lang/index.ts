// The languages there are.
import { en, type Words } from "./en.js";
import { zh } from "./zh.js";

export type { Words } from "./en.js";

/** A language: its words, and the tag that dates are written by. */
export interface Language {
  readonly tag: string;
  readonly words: Words;
}

const all: Readonly<Record<string, Words>> = { en, zh };

/** The first of the wanted languages (BCP 47) that there is, else English. */
export function language(...wanted: readonly (string | null | undefined)[]): Language {
  for (const tag of wanted) {
    const words = all[tag?.toLowerCase().split("-")[0] ?? ""];
    if (tag && words) return { tag, words };
  }
  return { tag: "en", words: en };
}
