// Polls: are they answered, by the server itself, and may they wait?
import { addressOf, bearer, fromBetween, milliseconds, refused, type Finding, type Probe, type Surroundings } from "./finding";
import { t } from "./words";

interface Asked {
  readonly status: number;
  /** What came, null where it is none of the gateway's. */
  readonly page: { readonly cursor: string; readonly entries: readonly unknown[] } | null;
  readonly why: string;
  readonly took: number;
  readonly id: string;
}

async function ask(around: Surroundings, query: string): Promise<Asked> {
  const began = around.now();
  try {
    const answer = await fetch(addressOf(around, query), { headers: bearer(around), cache: "no-store", signal: around.signal });
    const took = around.now() - began;
    const id = answer.headers.get("X-Request-Id") ?? "";
    if (!answer.ok) return { status: answer.status, page: null, why: await refused(answer), took, id };
    const page: unknown = await answer.json().catch(() => null);
    const whole = typeof page === "object" && page !== null && "cursor" in page && "entries" in page && Array.isArray(page.entries);
    return { status: answer.status, page: whole ? { cursor: String(page.cursor), entries: page.entries as unknown[] } : null, why: whole ? "" : t("the answer is not the server's"), took, id };
  } catch {
    return { status: 0, page: null, why: t("no answer"), took: around.now() - began, id: "" };
  }
}

function bad(asked: Asked): Finding {
  const between = asked.status === 0 || asked.status === 200 || fromBetween(asked.status);
  return {
    health: "bad", advice: "", facts: [],
    words: between ? t("Something in between answers in the server's place, or not at all: {why}.", { why: asked.why }) : t("The server refuses it: {why}.", { why: asked.why }),
  };
}

const place = (cursor: string): string => `cursor=${encodeURIComponent(cursor)}`;

/** Short polls: a few of them, to see how fast they are, and whether a cache answers. */
export const probePoll: Probe = async (around) => {
  const times: number[] = [];
  const ids = new Set<string>();
  for (let i = 0; i < 4; i++) {
    const asked = await ask(around, "?cursor=latest&limit=1");
    if (!asked.page) return bad(asked);
    around.mark(t("answer"));
    times.push(asked.took);
    ids.add(asked.id);
  }
  const facts: [string, string][] = [[t("Answered within"), milliseconds(Math.min(...times))]];
  if (ids.size < times.length) {
    return {
      health: "bad", facts, words: t("A cache in between answers with what it has kept: new alarms would not be seen."),
      advice: t("A cache in between has to respect Cache-Control: no-store."),
    };
  }
  return { health: "good", words: t("Polls are answered. Alarms come with the next poll, within {n} s.", { n: 30 }), advice: "", facts };
};

/** A long poll: does it wait as long as it is asked to? */
export const probeLongPoll: Probe = async (around) => {
  const first = await ask(around, "?cursor=latest&limit=1");
  if (!first.page) return bad(first);
  const most = (around.offered.max_wait_seconds ?? 55) * 1000;
  const wanted = Math.min(around.watch, most);
  const facts: [string, string][] = [[t("Answered within"), milliseconds(first.took)]];
  const from = around.now();
  for (let cursor = first.page.cursor; ; ) {
    const wait = Math.max(1, Math.round((wanted - (around.now() - from)) / 1000));
    around.mark(t("asked"));
    const asked = await ask(around, `?${place(cursor)}&wait=${wait}`);
    if (around.signal.aborted) return { health: "good", words: t("It waits for what comes, and is answered."), advice: "", facts };
    if (!asked.page) {
      around.mark(t("cut"), true);
      facts.push([t("Cut after"), milliseconds(asked.took)], [t("What came"), asked.why]);
      return cut(asked, facts);
    }
    around.mark(t("answer"));
    const left = wanted - (around.now() - from);
    if (asked.page.entries.length === 0 && asked.took > wait * 1000 + 3000) {
      return { health: "warn", words: t("Answers are held back: one that was due after {n} s came after {time}.", { n: wait, time: milliseconds(asked.took) }), advice: "", facts };
    }
    if (left < 1000) break;
    cursor = asked.page.cursor;
  }
  facts.push([t("Waited for"), milliseconds(around.now() - from)]);
  return { health: "good", words: t("It waits for what comes, and is answered."), advice: "", facts };
};

function cut(asked: Asked, facts: [string, string][]): Finding {
  const usable = Math.floor(asked.took / 1000) - 1;
  if (usable < 3) return { health: "bad", words: t("A request that waits is cut after {time}: short polls are better here.", { time: milliseconds(asked.took) }), advice: "", facts };
  return {
    health: "warn", facts,
    words: t("A request that waits is cut after {time}. It works where clients ask for no more than {n} s.", { time: milliseconds(asked.took), n: usable }),
    advice: t("Something in between ends requests that it takes for idle. Let it wait for more than 60 s; in nginx: proxy_read_timeout 75s;"),
  };
}

/** The page without script: is it there? */
export const probePage: Probe = async (around) => {
  const began = around.now();
  try {
    const answer = await fetch(addressOf(around), { headers: { ...bearer(around), Accept: "text/html" }, cache: "no-store", signal: around.signal });
    const text = await answer.text();
    const took = around.now() - began;
    if (answer.ok && /http-equiv="?refresh/i.test(text)) {
      around.mark(t("answer"));
      return { health: "good", words: t("The page that refreshes itself is there, for when all else fails."), advice: "", facts: [[t("Answered within"), milliseconds(took)]] };
    }
    return { health: "bad", words: t("The page does not come as the server sends it: {why}.", { why: `${answer.status} ${answer.statusText}` }), advice: "", facts: [] };
  } catch {
    return { health: "bad", words: t("There is no answer: the connection is refused or cut."), advice: "", facts: [] };
  }
};
