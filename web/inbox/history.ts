// What happened to an alarm, as the server's history tells it.
import type { Context } from "./context.js";
import { el, foreign, put, setText, show } from "./dom.js";
import { shape } from "./icons.js";
import { severities } from "./model.js";
import { told } from "./commands.js";

/** A change, as far as it is shown (docs/protocol.md §9). */
interface Change {
  readonly seq: number;
  readonly time: string;
  readonly status: string;
  readonly by: string;
  readonly note: string;
  readonly quiet: boolean;
  readonly severity: string;
  readonly message: string;
}

const field = (value: unknown, name: string): unknown => (typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined);
const text = (value: unknown): string => (typeof value === "string" ? value : "");

function changeOf(entry: unknown): Change {
  const alarm = field(entry, "alarm");
  return {
    seq: Number(field(entry, "seq")), time: text(field(entry, "time")), by: text(field(entry, "by")), note: text(field(entry, "note")),
    status: text(field(entry, "status")) || text(field(entry, "type")).replace("alarm.", ""), quiet: field(entry, "quiet") === true,
    severity: text(field(alarm, "severity")), message: text(field(alarm, "message")),
  };
}

const RAISED: ReadonlySet<string> = new Set(["raised", "repeated", "folded"]);

export interface History {
  readonly element: HTMLElement;
  /** Loads what is new, when the alarm has another revision. */
  load(rev: number): void;
}

export function createHistory({ words, format, inbox }: Context, id: string): History {
  const list = el("ol");
  const status = el("p", { class: "muted", role: "status" });
  const more = el("button", { type: "button", class: "plain", hidden: true, click: () => void read() }, words.historyMore);
  const known = new Map<number, Change>();
  let after: string | undefined;
  let loaded = -1;
  let reading = false;

  function line(change: Change): HTMLElement {
    const severity = severities.find((word) => word === change.severity);
    return el("li", { class: change.quiet ? "quiet" : "" },
      el("time", { datetime: change.time, title: format.full(change.time) }, format.time(change.time)),
      el("div", {}, severity && RAISED.has(change.status) && el("span", { class: `severity ${severity}` }, shape(severity), el("span", { class: "word" }, words.severities[severity])), " ",
        el("b", {}, words.events[change.status] ?? change.status), " ", change.by !== "" && el("span", { class: "muted" }, foreign(words.by(change.by))),
        change.quiet && el("span", { class: "chip" }, words.quiet),
        change.note !== "" ? el("q", {}, foreign(change.note)) : RAISED.has(change.status) && change.message !== "" && el("p", {}, foreign(change.message))));
  }

  function draw(): void {
    put(list, ...[...known.values()].sort((a, b) => b.seq - a.seq).map(line));
    setText(status, known.size === 0 ? words.historyEmpty : "");
    show(status, known.size === 0);
  }

  async function read(): Promise<void> {
    if (reading) return;
    reading = true;
    try {
      const page = await inbox.history(id, after);
      for (const entry of page.entries) {
        const change = changeOf(entry);
        known.set(change.seq, change);
      }
      // The last page may grow: it is asked for again from its beginning.
      if (page.next) after = page.next;
      show(more, page.next !== null);
      draw();
    } catch (error) {
      setText(status, told(error));
      show(status, true);
    } finally {
      reading = false;
    }
  }

  return {
    element: el("section", { class: "history", "aria-label": words.history }, el("h3", {}, words.history), status, list, more),
    load(rev) {
      if (rev === loaded) return;
      loaded = rev;
      void read();
    },
  };
}
