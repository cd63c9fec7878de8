// What has to be told above the list: a gap, a flood, a connection that is not what it
// should be, something that went wrong, a notice.
import type { Part } from "./bar.js";
import type { Context } from "./context.js";
import { el, foreign, put, setAttribute } from "./dom.js";
import { icon } from "./icons.js";
import { noticesAt } from "./view.js";

type Piece = Node | string | null | false;

interface Banner {
  readonly element: HTMLElement;
  /** Shows it; the same key changes nothing, null hides it. */
  set(key: string | null, make?: () => readonly Piece[]): void;
}

function createBanner(kind: string, role: "alert" | "status"): Banner {
  const element = el("div", { class: `banner ${kind}`, role, hidden: true });
  let shown: string | null = null;
  return {
    element,
    set(key, make) {
      if (key === shown) return;
      shown = key;
      element.hidden = key === null;
      put(element, ...(key === null || !make ? [] : make()));
    },
  };
}

const words = (title: string, ...text: Piece[]) => el("p", {}, el("strong", {}, title), " ", ...text);

export function createBanners(context: Context): Part {
  const { words: say, view, changed, format, inbox, commands } = context;
  const close = (name: string, label: string, then: () => void) =>
    el("button", { type: "button", class: "plain", "data-do": name, click: () => { then(); changed(); } }, label);
  const gap = createBanner("gap", "alert");
  const problem = createBanner("problem", "alert");
  const link = createBanner("link", "status");
  const flood = createBanner("flood", "status");
  const notice = createBanner("notice", "status");

  function drawGap(): void {
    const told = view.gap;
    gap.set(told && `${told.reason} ${told.from}`, () => {
      const [title, text] = say.gaps[told?.reason ?? ""] ?? say.gapOther;
      return [words(`${say.gap}: ${title}`, text, " ", el("small", {}, `(${told?.reason ?? ""})`)), close("gap", say.understood, () => (view.gap = null))];
    });
  }

  function drawLink(): void {
    // Trying again is no news to who knows that he is offline.
    const name = inbox.state.name === "connecting" && view.begun ? "offline" : inbox.state.name;
    const text = name === "stale" ? say.staleText : name === "offline" ? say.offlineText
      : name === "superseded" ? say.supersededText : name === "refused" ? say.refusedText : null;
    const asOf = view.begun && view.current > 0 ? say.asOf(format.time(new Date(view.current).toISOString())) : "";
    link.set(text && `${name} ${asOf}`, () => [words(`${say.states[name === "connecting" ? "offline" : name]}.`, text ?? "", " ", el("small", {}, asOf))]);
    setAttribute(link.element, "data-state", name);
  }

  function drawNotice(): void {
    const list = noticesAt(inbox, view);
    const first = list[0];
    notice.set(first ? `${first.id} ${list.length}` : null, () => (first ? [
      icon("mail"),
      el("p", {}, el("strong", {}, foreign(first.title)), " ", foreign(first.body), " ",
        el("small", {}, foreign(say.noticeFrom(first.from)), list.length > 1 && ` · ${say.moreNotices(list.length - 1)}`)),
      close("notice", say.markNotice, () => {
        view.put.add(first.id);
        void commands.run(() => inbox.read({ ids: [first.id] }));
      }),
    ] : []));
  }

  return {
    element: el("div", { class: "banners" }, gap.element, problem.element, link.element, flood.element, notice.element),
    draw() {
      const { flood: now } = inbox.counts;
      drawGap();
      problem.set(view.problem || null, () => [words(`${say.problem}.`, foreign(view.problem)), close("problem", say.close, () => (view.problem = ""))]);
      drawLink();
      flood.set(now ? `${now.since} ${now.quiet}` : null, () => (now ? [words(`${say.flood}.`, say.floodText(format.time(now.since), now.quiet))] : []));
      drawNotice();
    },
  };
}
