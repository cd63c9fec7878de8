// Dead letters: what doors refused and could not tell their senders.
import { withQuery } from "./api";
import { createTold, type Panel } from "./panel";
import { bdi, h, put } from "./dom";
import { moment, number } from "./format";
import { t } from "./words";

interface Letter {
  readonly time: string;
  readonly door: string;
  readonly publisher: string;
  readonly device?: string;
  readonly problem: string;
  readonly body?: string;
  readonly body_base64?: string;
}

/** Laid out, where it is JSON. */
function laidOut(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function show(letter: Letter): HTMLElement {
  return h("details", { class: "sheet letter" },
    h("summary", {}, moment(letter.time), " ", h("b", {}, bdi(letter.door)), " ", bdi(letter.problem)),
    h("dl", { class: "facts" },
      h("dt", {}, t("Publisher")), h("dd", {}, bdi(letter.publisher)),
      letter.device ? h("dt", {}, t("Device")) : null, letter.device ? h("dd", {}, bdi(letter.device, true)) : null),
    h("pre", { tabindex: 0, "aria-label": t("What was refused") }, letter.body === undefined ? (letter.body_base64 ?? "") : laidOut(letter.body)));
}

export const letters: Panel = {
  name: "letters",
  title: "Dead letters",
  open(root, api) {
    const told = createTold();
    const list = h("div", { class: "stack" });
    const note = h("p", { class: "soft" });
    let limit = 50;
    const more = h("button", { type: "button", hidden: true, onclick: () => { limit = Math.min(1000, limit * 4); void load(); } }, t("Show more"));
    async function load(): Promise<void> {
      try {
        const { letters: found } = (await api.ask("GET", withQuery("v1/deadletters", { limit }))) as { letters: readonly Letter[] };
        told.clear();
        put(list, ...found.map(show));
        put(note, found.length === 0 ? "" : t("The newest {n}, the newest first.", { n: number(found.length) }));
        if (found.length === 0) put(list, h("p", { class: "empty" }, t("There are none. Every publisher was told what became of what he sent.")));
        more.hidden = found.length < limit || limit >= 1000;
      } catch (error) {
        told.bad(error);
      }
    }
    put(root, h("div", { class: "head" }, h("h2", {}, t("Dead letters")), h("button", { type: "button", onclick: () => void load() }, t("Look again"))),
      h("p", { class: "soft" }, t("What a door refused and could not tell its sender, and hooks that were given up.")), told.root, note, list, more);
    void load();
    return () => undefined;
  },
};
