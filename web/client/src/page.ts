// The inbox in single answers (docs/protocol.md §4): what both ways of polling are
// made of.
import { endingOf, parse, pause, wordsOf } from "./http.js";
import type { Ending, Session } from "./transport.js";
import type { Counts, Entry, Gap } from "./types.js";

/** Entries wanted at once. */
const LIMIT = 500;
/** Who is answered nothing sooner than this, although he would wait, lets a second pass. */
const HASTY = 500;

interface Body {
  readonly entries: readonly Entry[];
  readonly cursor: string;
  readonly interval?: number;
  readonly gap?: Gap | null;
}

/** One answer: how long until the next should be asked for, in ms, or why there was none. */
export type Looked = { readonly interval: number; readonly empty: boolean; readonly tag: string; readonly ending?: never } | { readonly ending: Ending };

/** Asks once, waiting at most so many seconds at the server, and tells the page. */
export async function look(session: Session, wait: number, tag: string): Promise<Looked> {
  const from = session.cursor();
  const at = from === null ? "snapshot=active" : `cursor=${encodeURIComponent(from)}`;
  try {
    const answer = await session.ask({
      method: "GET", path: `/v1/inbox?${at}&limit=${LIMIT}${wait ? `&wait=${wait}` : ""}`, wait,
      headers: tag ? { "If-None-Match": tag } : {},
    });
    if (answer.status === 304) {
      session.tell.hello(0);
      return { interval: 1000, empty: true, tag };
    }
    if (answer.status !== 200) return { ending: endingOf(answer) };
    const page = parse(answer.body);
    if (!Array.isArray(page["entries"]) || typeof page["cursor"] !== "string") {
      return { ending: { kind: "failed", why: "something else than the server answered" } };
    }
    const body = page as unknown as Body;
    session.tell.hello(0);
    session.tell.page({ gap: body.gap ?? null, entries: body.entries, cursor: body.cursor, counts: page as unknown as Counts });
    return { interval: (body.interval ?? 5) * 1000, empty: body.entries.length === 0, tag: answer.header("ETag") ?? "" };
  } catch (error) {
    return { ending: session.scope.over ? { kind: "over" } : { kind: "failed", why: wordsOf(error) } };
  }
}

/** Polls on and on; hold: at the server, else between two requests. */
export async function poll(session: Session, hold: boolean): Promise<Ending> {
  const { platform, scope, timing } = session;
  let tag = "";
  // The first answer comes at once, so that one sees that it works.
  for (let wait = 0; ; wait = hold ? timing.wait : 0) {
    const asked = platform.now();
    const looked = await look(session, wait, tag);
    if (looked.ending) return looked.ending;
    if (scope.over) return { kind: "over" };
    // Only who waits tells what he knows: a 304 does not say when to ask again.
    if (hold) tag = looked.tag;
    const hasty = wait > 0 && looked.empty && platform.now() - asked < HASTY;
    const rest = !hold ? looked.interval : hasty ? 1000 : 0;
    if (rest > 0) await pause(platform, scope, rest);
    if (scope.over) return { kind: "over" };
  }
}
