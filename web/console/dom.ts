// The document, made of nodes and texts: nothing here can turn text into markup.

export type Child = Node | string | number | null | undefined | false;

/** What an element is made with: `on…` hears, true is an attribute without a value, false and undefined are none. */
export type Attributes = Readonly<Record<string, string | number | boolean | undefined | ((event: Event) => void)>>;

export function h<K extends keyof HTMLElementTagNameMap>(tag: K, attributes: Attributes = {}, ...children: readonly Child[]): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : String(value));
  }
  put(element, ...children);
  return element;
}

/** Replaces what an element holds. */
export function put(element: Element, ...children: readonly Child[]): void {
  element.replaceChildren(...children.filter((child) => child !== null && child !== undefined && child !== false).map((child) => (typeof child === "number" ? String(child) : child)));
}

/** Text of somebody's, whichever way it is written. */
export function bdi(text: string, code = false): HTMLElement {
  return h("bdi", code ? { class: "code" } : {}, text);
}

export function byId(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

let labels = 0;

/** A field with its label; the control is what it is for. */
export function field(label: string, control: HTMLElement, hint = ""): HTMLLabelElement {
  const text = h("span", {}, label);
  const element = h("label", {}, text, control);
  if (hint) {
    const id = `hint-${++labels}`;
    control.setAttribute("aria-describedby", id);
    element.append(h("small", { id }, hint));
  }
  return element;
}

export function options(select: HTMLSelectElement, list: readonly (readonly [value: string, label: string])[]): HTMLSelectElement {
  put(select, ...list.map(([value, label]) => h("option", { value }, label)));
  return select;
}

/** A table with a caption that names it, in a box that scrolls where it is too wide. */
export function table(caption: string, heads: readonly (string | { readonly text: string; readonly number?: boolean })[]): { readonly root: HTMLElement; readonly body: HTMLTableSectionElement; readonly caption: HTMLElement } {
  const body = h("tbody");
  const title = h("caption", {}, caption);
  const cells = heads.map((head) => (typeof head === "string" ? h("th", { scope: "col" }, head || h("span", { class: "aside" }, "·")) : h("th", { scope: "col", class: head.number ? "number" : undefined }, head.text)));
  const root = h("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": caption }, h("table", {}, title, h("thead", {}, h("tr", {}, ...cells)), body));
  return { root, body, caption: title };
}

/** Asks before something is done that cannot be taken back. */
export function confirmed(question: string, act: string, cancel: string): Promise<boolean> {
  return new Promise((answer) => {
    const dialog = h("dialog", { "aria-label": question });
    const form = h("form", { method: "dialog" },
      h("p", {}, question),
      h("div", { class: "buttons" }, h("button", { value: "yes", class: "danger" }, act), h("button", { value: "" }, cancel)));
    dialog.append(form);
    dialog.addEventListener("close", () => {
      dialog.remove();
      answer(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
