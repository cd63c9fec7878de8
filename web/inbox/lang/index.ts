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

const primary = (tag: string | null | undefined): string => tag?.toLowerCase().split("-")[0] ?? "";

/**
 * The first of the wanted languages (BCP 47) that there is, else English. Dates are
 * written as in the region that the browser names for it.
 */
export function language(wanted: readonly (string | null | undefined)[], browser: readonly string[]): Language {
  for (const tag of [...wanted, ...browser]) {
    const words = all[primary(tag)];
    if (!tag || !words) continue;
    const regional = tag.includes("-") ? tag : browser.find((one) => primary(one) === primary(tag));
    return { tag: regional ?? tag, words };
  }
  return { tag: "en", words: en };
}
