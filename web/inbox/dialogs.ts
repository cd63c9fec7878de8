// Questions to the user. They are modal, so that the keyboard stays in them; Escape is
// always "no".
import { el } from "./dom.js";
import { icon } from "./icons.js";
import type { Words } from "./lang/index.js";

export interface Question {
  readonly title: string;
  readonly body: readonly (Node | string)[];
  /** What the button says that does it. */
  readonly yes: string;
  /** Whether the button may be pressed as it is. */
  valid?(): boolean;
}

/** Whether the focus is nowhere: in what goes, or on nothing at all. */
function isFocusLost(root: ShadowRoot, going: Element): boolean {
  const { activeElement: inside } = root;
  const { activeElement: outside, body } = document;
  return inside ? going.contains(inside) : outside === null || outside === body || outside === root.host;
}

/**
 * Shows a dialog until it is closed; the focus goes back to where it was. The browser sees to
 * that at once, and the event comes later: by then the user may have gone on to somewhere else.
 */
export function showDialog(root: ShadowRoot, dialog: HTMLDialogElement): Promise<string> {
  const before = root.activeElement;
  root.append(dialog);
  dialog.showModal();
  return new Promise((done) => {
    dialog.addEventListener("close", () => {
      const lost = isFocusLost(root, dialog);
      dialog.remove();
      if (lost && before instanceof HTMLElement && before.isConnected) before.focus({ preventScroll: true });
      done(dialog.returnValue);
    }, { once: true });
  });
}

export function head(title: string, words: Words, dialog: () => HTMLDialogElement): HTMLElement {
  return el("div", { class: "dialog-head" }, el("h2", { id: "dialog-title" }, title),
    el("button", { type: "button", class: "do-small", "data-do": "close", "aria-label": words.close, title: words.close, click: () => dialog().close("") }, icon("close")));
}

/** Asks, and says whether the user wants it. */
export async function ask(root: ShadowRoot, words: Words, { title, body, yes, valid }: Question): Promise<boolean> {
  const submit = el("button", { type: "submit", class: "primary", "data-do": "yes" }, yes);
  const form = el("form", {
    class: "ask",
    submit: (event) => {
      event.preventDefault();
      if (!valid || valid()) dialog.close("yes");
    },
  }, ...body, el("div", { class: "buttons" }, el("button", { type: "button", class: "plain", "data-do": "no", click: () => dialog.close("") }, words.cancel), submit));
  const dialog: HTMLDialogElement = el("dialog", { class: "question", "aria-labelledby": "dialog-title" }, head(title, words, () => dialog), form);
  form.addEventListener("input", () => { submit.disabled = valid !== undefined && !valid(); });
  submit.disabled = valid !== undefined && !valid();
  // Enter with Control sends from a field of several lines, as everywhere.
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  return await showDialog(root, dialog) === "yes";
}

/** A field for a note of at most 1,024 bytes (docs/protocol.md §9). */
export function noteField(label: string, required: boolean, hint = ""): { readonly field: HTMLElement; value(): string } {
  const input = el("textarea", { rows: 3, maxlength: 1024, required, autofocus: true, "data-do": "note" });
  return {
    field: el("label", { class: "stack" }, el("span", {}, label), input, hint !== "" && el("small", {}, hint)),
    value: () => input.value.trim(),
  };
}

/** How long to shelve: some hours, or until a time. */
export function shelfField(words: Words): { readonly field: HTMLElement; until(): string | null } {
  const choice = (value: string, word: string, checked: boolean) =>
    el("label", { class: "choice" }, el("input", { type: "radio", name: "for", value, checked }), el("span", {}, word));
  const time = el("input", { type: "datetime-local", "aria-label": words.shelveUntil, "data-do": "until" });
  const hours = Object.entries(words.shelveHours).map(([value, word]) => choice(value, word, value === "1"));
  const other = choice("", words.shelveUntil, false);
  const field = el("fieldset", {}, el("legend", {}, words.shelveFor), ...hours, el("div", { class: "row" }, other, time));
  time.addEventListener("input", () => { const box = other.querySelector("input"); if (box) box.checked = true; });
  return {
    field,
    until() {
      const chosen = field.querySelector<HTMLInputElement>("input[type=radio]:checked");
      const at = chosen?.value ? Date.now() + Number(chosen.value) * 3_600_000 : new Date(time.value).getTime();
      return at > Date.now() ? new Date(at).toISOString() : null;
    },
  };
}
