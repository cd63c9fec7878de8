// Small words for the DOM. Text goes in as text nodes alone: there is no way from
// what a device says to markup.

type Child = Node | string | null | false | undefined;
type Attributes = Readonly<Record<string, string | number | boolean | null | undefined | ((event: Event) => void)>>;

/** Makes an element. A function is heard under its name, `true` is an attribute without value, null and false are none. */
export function el<K extends keyof HTMLElementTagNameMap>(name: K, attributes: Attributes = {}, ...children: readonly Child[]): HTMLElementTagNameMap[K] {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(key, value);
    else setAttribute(made, key, value);
  }
  put(made, ...children);
  return made;
}

export function setAttribute(element: Element, key: string, value: string | number | boolean | null | undefined): void {
  if (value === null || value === undefined || value === false) element.removeAttribute(key);
  else if (element.getAttribute(key) !== String(value === true ? "" : value)) element.setAttribute(key, value === true ? "" : String(value));
}

/** Replaces what is in an element. */
export function put(parent: Element, ...children: readonly Child[]): void {
  parent.replaceChildren(...children.filter((child): child is Node | string => child !== null && child !== false && child !== undefined && child !== ""));
}

/** Sets a text, and touches nothing when it is there already. */
export function setText(node: Node, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

export function show(element: HTMLElement, visible: boolean): void {
  if (element.hidden === visible) element.hidden = !visible;
}

/** Text of others: a direction of its own, so that it cannot turn round what stands beside it. */
export function foreign(text: string, attributes: Attributes = {}): HTMLElement {
  return el("bdi", attributes, text);
}

/** Text of others for an attribute: without the signs that turn directions, and without controls. */
export function plain(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+/g, " ").slice(0, 300);
}
