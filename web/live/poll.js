// The inbox in single answers (docs/protocol.md §4): a long poll waits at the
// server, a short one between two requests.
import { check, pause, placeQuery } from "./wire.js";

const WAIT_S = 25;
const IDLE_MS = 30_000;
// So long a poll goes on before something better may be tried.
const TURN_MS = 5 * 60_000;

async function poll({ api, cursor, signal, tell }, wait) {
  const until = Date.now() + TURN_MS;
  let tag = "";
  let first = true;
  while (Date.now() < until) {
    // The first answer comes at once, so that one sees that it works.
    const query = placeQuery(cursor(), { limit: "500", ...(wait && !first ? { wait: String(WAIT_S) } : {}) });
    const dead = AbortSignal.timeout((WAIT_S + 20) * 1000);
    const response = await api.get(`v1/inbox?${query}`, tag ? { "If-None-Match": tag } : {}, AbortSignal.any([signal, dead]));
    await check(response);
    let next = IDLE_MS;
    if (response.status !== 304) {
      const page = await response.json();
      tag = response.headers.get("ETag") || "";
      if (page.gap) tell.gap(page.gap);
      tell.entries(page.entries, page.cursor);
      tell.counts(page);
      next = page.more ? 0 : page.interval * 1000;
    }
    if (first) tell.live();
    first = false;
    if (!wait && next > 0) await pause(next, signal);
    else if (wait && next === 1000) await pause(next, signal); // the node goes down
  }
  return 0;
}

export const runLongPoll = (session) => poll(session, true);
export const runShortPoll = (session) => poll(session, false);
