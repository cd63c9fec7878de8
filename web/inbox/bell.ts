// The inbox behind a bell, for the header of a page: a button with the number of what
// is unread, and the panel below it.
import type { Inbox } from "../client/src/types.js";
import { el, setAttribute, setText } from "./dom.js";
import { icon } from "./icons.js";
import type { Words } from "./lang/index.js";
import { severities } from "./model.js";

export interface BellButton {
  readonly element: HTMLElement;
  close(): void;
}

/** Where the panel has its place: below the button, within the window. */
function place(button: HTMLElement, sheet: HTMLElement): void {
  const at = button.getBoundingClientRect();
  const width = Math.min(innerWidth - 16, 1040);
  sheet.style.width = `${width}px`;
  sheet.style.left = `${Math.max(8, Math.min(at.right - width, innerWidth - width - 8))}px`;
  sheet.style.top = `${at.bottom + 6}px`;
  sheet.style.height = `${Math.max(240, Math.min(720, innerHeight - at.bottom - 14))}px`;
}

export function createBellButton(panel: HTMLElement, inbox: Inbox, words: Words): BellButton {
  const badge = el("b");
  const button = el("button", { type: "button", class: "bell-button", "data-do": "bell", "aria-expanded": "false", click: () => sheet.togglePopover() }, icon("bell"), badge);
  const sheet = el("div", { class: "sheet", popover: "manual" }, panel);
  const element = el("div", { class: "bell-host" }, button, sheet);
  const isOpen = () => sheet.matches(":popover-open");

  function draw(): void {
    const { unread, active } = inbox.counts;
    setText(badge, unread > 99 ? "99+" : String(unread));
    badge.hidden = unread === 0;
    setAttribute(button, "aria-label", words.openInbox(unread));
    setAttribute(button, "data-worst", severities.find((severity) => (active[severity] ?? 0) > 0) ?? "none");
  }

  sheet.addEventListener("toggle", () => {
    setAttribute(button, "aria-expanded", String(isOpen()));
    if (isOpen()) place(button, sheet);
  });
  element.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.defaultPrevented || !isOpen()) return;
    sheet.hidePopover();
    button.focus();
  });
  // A dialog of the inbox is inside, too.
  const outside = (event: Event) => { if (isOpen() && !event.composedPath().includes(element.getRootNode())) sheet.hidePopover(); };
  const again = () => { if (isOpen()) place(button, sheet); };
  document.addEventListener("pointerdown", outside);
  addEventListener("resize", again);
  const end = inbox.on("change", draw);
  draw();
  return {
    element,
    close() {
      document.removeEventListener("pointerdown", outside);
      removeEventListener("resize", again);
      end();
    },
  };
}
