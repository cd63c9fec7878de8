// What the signs and the keys mean.
import type { Context } from "./context.js";
import { head, showDialog } from "./dialogs.js";
import { el } from "./dom.js";
import { shape } from "./icons.js";
import type { Words } from "./lang/index.js";
import { severities } from "./model.js";

const keys: readonly (readonly [keys: readonly string[], what: keyof Words["keys"]])[] = [
  [["↓", "↑", "j", "k"], "move"], [["PgDn", "PgUp"], "page"], [["Home", "End"], "ends"], [["Enter"], "open"], [["Space"], "select"], [["Ctrl A"], "selectAll"],
  [["a"], "ack"], [["Shift A"], "ackAll"], [["c"], "comment"], [["s"], "shelve"], [["u"], "unack"], [["x"], "clear"],
  [["/"], "search"], [["m"], "mute"], [["r"], "read"], [["?"], "help"], [["Esc"], "escape"],
];

export function showHelp(root: ShadowRoot, { words }: Context): void {
  const dialog: HTMLDialogElement = el("dialog", { class: "question help-dialog", "aria-labelledby": "dialog-title" }, head(words.help, words, () => dialog),
    el("div", { class: "ask" },
      el("h3", {}, words.helpSigns),
      el("div", { class: "signs" }, ...severities.map((severity) => el("span", { class: `severity ${severity}` }, shape(severity), shape(severity, false), el("span", { class: "word" }, words.severities[severity])))),
      el("p", {}, words.helpSignsText),
      el("h3", {}, words.helpKeys),
      el("dl", { class: "keys" }, ...keys.map(([names, what]) => el("div", {}, el("dt", {}, ...names.map((name) => el("kbd", {}, name))), el("dd", {}, words.keys[what]))))));
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  void showDialog(root, dialog);
}
