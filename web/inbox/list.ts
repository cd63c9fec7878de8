// A list of which only what can be seen is in the document. Lines have one height and
// stand at their place by themselves, so that ten thousand cost what thirty do.
import { setAttribute } from "./dom.js";

/** How many lines beyond the edges are drawn, so that scrolling shows no holes. */
const BEYOND = 6;

export interface Line {
  readonly key: string;
}

export interface ListOptions<L extends Line> {
  /** What scrolls, and within it what is as high as all lines. */
  readonly scroller: HTMLElement;
  readonly body: HTMLElement;
  /** Lines above the first, counted by screen readers. */
  readonly before: number;
  /** Draws a line into its element, when `stamp` is not what it was. */
  draw(element: HTMLElement, line: L): void;
  stamp(line: L): string;
  /** Brings up to date what changes with time alone. */
  age(element: HTMLElement, line: L): void;
}

export interface List<L extends Line> {
  set(lines: readonly L[]): void;
  /** Draws what can be seen once more. */
  redraw(): void;
  /** Takes the measures, after the room or the height of a line has become another. */
  measure(height: number): void;
  current(): L | null;
  /** Goes to a line by its number, counted from where it is, and takes the focus there. */
  go(by: number): void;
  goTo(at: number): void;
  focus(): void;
  /** How many lines a page has. */
  page(): number;
  /** Makes the line of an element within it the current one, and returns it. */
  take(inside: Element): L | null;
}

interface Drawn {
  readonly element: HTMLElement;
  stamp: string;
  at: number;
}

export function createList<L extends Line>({ scroller, body, before, draw, stamp, age }: ListOptions<L>): List<L> {
  let lines: readonly L[] = [];
  let numbers = new Map<string, number>();
  let height = 56;
  // Reading these from the document would have it laid out each time.
  let top = 0;
  let view = 0;
  let head = 0;
  let current = -1;
  // While a button is pressed nothing moves under it, or the click would be lost, or another's.
  let pressed = false;
  let waiting: readonly L[] | null = null;
  const drawn = new Map<string, Drawn>();
  const keys = new WeakMap<Element, string>();

  const key = () => lines[current]?.key;

  function elementOf(line: L): Drawn {
    const known = drawn.get(line.key);
    if (known) return known;
    const element = document.createElement("div");
    element.setAttribute("role", "row");
    keys.set(element, line.key);
    const made: Drawn = { element, stamp: "", at: -1 };
    drawn.set(line.key, made);
    return made;
  }

  function place(line: L, at: number, next: ChildNode | null): ChildNode | null {
    const one = elementOf(line);
    const { element } = one;
    const now = stamp(line);
    if (one.stamp !== now) {
      const held = element.contains(active()) ? active()?.getAttribute("data-do") : null;
      draw(element, line);
      one.stamp = now;
      if (held) (element.querySelector<HTMLElement>(`[data-do="${held}"]:not([disabled])`) ?? element).focus({ preventScroll: true });
    }
    age(element, line);
    if (one.at !== at) {
      element.style.transform = `translateY(${at * height}px)`;
      element.setAttribute("aria-rowindex", String(at + 1 + before));
      one.at = at;
    }
    element.tabIndex = at === current ? 0 : -1;
    element.classList.toggle("current", at === current);
    for (const inner of element.querySelectorAll<HTMLElement>("button, input")) inner.tabIndex = at === current ? 0 : -1;
    if (next === element) return next.nextSibling;
    body.insertBefore(element, next);
    return next;
  }

  function active(): Element | null {
    const root = body.getRootNode();
    return root instanceof ShadowRoot || root instanceof Document ? root.activeElement : null;
  }

  function redraw(): void {
    if (pressed) return;
    const first = Math.max(0, Math.floor(top / height) - BEYOND);
    const last = Math.min(lines.length - 1, Math.ceil((top - head + view) / height) + BEYOND);
    // The current line stays, wherever it is: it may have the focus.
    const wanted: number[] = [];
    if (current >= 0 && current < first) wanted.push(current);
    for (let at = first; at <= last; at++) wanted.push(at);
    if (current > last && current < lines.length) wanted.push(current);

    const kept = new Set(wanted.map((at) => lines[at]?.key));
    for (const [known, { element }] of drawn) {
      if (kept.has(known)) continue;
      element.remove();
      drawn.delete(known);
    }
    const held = body.contains(active()) ? active() : null;
    let next: ChildNode | null = body.firstChild;
    for (const at of wanted) {
      const line = lines[at];
      if (line) next = place(line, at, next);
    }
    // An element that is moved loses the focus.
    if (held instanceof HTMLElement && held.isConnected && active() !== held) held.focus({ preventScroll: true });
  }

  /** What was at the top of the view stays there when lines come above it. */
  function hold(was: readonly L[]): void {
    if (top <= 0 || was.length === 0) return;
    const at = Math.floor(top / height);
    for (const line of was.slice(at, at + 20)) {
      const now = numbers.get(line.key);
      if (now === undefined) continue;
      const before = was.indexOf(line, at);
      if (now !== before) scroll(top + (now - before) * height);
      return;
    }
  }

  function set(next: readonly L[]): void {
    if (pressed) {
      waiting = next;
      return;
    }
    const was = lines;
    const held = key();
    const focused = body.contains(active());
    lines = next;
    numbers = new Map(next.map((line, at) => [line.key, at]));
    current = held === undefined ? -1 : numbers.get(held) ?? -1;
    const lost = held !== undefined && current < 0;
    if (current < 0 && next.length > 0) current = lost ? Math.min(was.findIndex((line) => line.key === held), next.length - 1) : 0;
    body.style.height = `${next.length * height}px`;
    setAttribute(scroller, "aria-rowcount", next.length + before);
    hold(was);
    redraw();
    if (focused && lost) focus();
  }

  function focus(): void {
    const line = lines[current];
    if (line) drawn.get(line.key)?.element.focus({ preventScroll: true });
  }

  function goTo(at: number): void {
    if (lines.length === 0) return;
    current = Math.min(lines.length - 1, Math.max(0, at));
    const from = head + current * height;
    if (from < top + head) scroll(from - head);
    else if (from + height > top + view) scroll(from + height - view);
    redraw();
    focus();
  }

  function scroll(to: number): void {
    scroller.scrollTop = to;
    top = scroller.scrollTop;
  }

  function release(): void {
    if (!pressed) return;
    pressed = false;
    const next = waiting;
    waiting = null;
    if (next) set(next);
    else redraw();
  }
  body.addEventListener("pointerdown", () => {
    pressed = true;
    const up = new AbortController();
    for (const name of ["pointerup", "pointercancel", "blur"]) {
      addEventListener(name, () => {
        up.abort();
        setTimeout(release); // behind the click
      }, { capture: true, signal: up.signal });
    }
  });

  scroller.addEventListener("scroll", () => {
    top = scroller.scrollTop;
    redraw();
  }, { passive: true });

  return {
    set, redraw, goTo, focus,
    measure(pixels) {
      const at = top / height;
      if (pixels !== height) {
        height = pixels;
        for (const one of drawn.values()) one.at = -1;
        body.style.height = `${lines.length * height}px`;
        scroll(at * height);
      }
      top = scroller.scrollTop;
      view = scroller.clientHeight;
      head = body.offsetTop;
      redraw();
    },
    current: () => lines[current] ?? null,
    go: (by) => goTo(current + by),
    page: () => Math.max(1, Math.floor(view / height) - 2),
    take(inside) {
      const element = inside.closest('[role="row"]');
      const at = numbers.get((element && keys.get(element)) ?? "");
      if (at === undefined) return null;
      if (at !== current) {
        current = at;
        redraw();
      }
      return lines[at] ?? null;
    },
  };
}
