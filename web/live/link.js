// The link keeps one transport running, whichever works, and one cursor across
// all of them: whatever ends, the next goes on where it was.
import { runEvents } from "./sse.js";
import { runLongPoll, runShortPoll } from "./poll.js";
import { runWebSocket } from "./ws.js";
import { Later, Refused, pause } from "./wire.js";

// The transports, best first. Automatic goes down this list. says is how well the
// page knows what is going on.
export const TRANSPORTS = [
  { id: "ws", name: "WebSocket", says: "Live", run: runWebSocket },
  { id: "sse", name: "Events (SSE)", says: "Live", run: runEvents },
  { id: "long-poll", name: "Long poll", says: "Live", run: runLongPoll },
  { id: "short-poll", name: "Short poll", says: "Looking now and then", run: runShortPoll },
];
export const AUTOMATIC = "auto";

const FIRST_DELAY_MS = 500;
const MOST_DELAY_MS = 30_000;
// One that lived so long has worked: begin again with the best.
const WORKED_MS = 60_000;

// createLink begins at the cursor from, or null, with the wanted transport, and
// runs until close. on hears of entries(list), counts(message),
// gap(gap), state({ name, transport, delay }) and refused(reason).
export function createLink({ token, api, from, wanted, on }) {
  let cursor = from;
  let at = 0; // in TRANSPORTS
  let turn = new AbortController(); // ends the present run, or the pause after it
  let waiting = false;
  let closed = false;

  const current = () => TRANSPORTS.find((t) => t.id === wanted) || TRANSPORTS[at];

  // tellFor is what a run may call; it falls silent with the run.
  function tellFor(signal, seen) {
    const alive = (act) => (...args) => {
      if (!signal.aborted) act(...args);
    };
    return {
      live: alive(() => {
        seen.live = Date.now();
        on.state({ name: "live", transport: current() });
      }),
      cursor: alive((next) => {
        cursor = next || cursor;
      }),
      entries: alive((list, next) => {
        on.entries(list);
        cursor = next || cursor;
      }),
      counts: alive(on.counts),
      gap: alive(on.gap),
    };
  }

  // runOnce returns the pause before the next run, in milliseconds, or null where
  // the usual one applies.
  async function runOnce(signal, seen) {
    try {
      const retry = await current().run({ token, api, signal, cursor: () => cursor, tell: tellFor(signal, seen) });
      return typeof retry === "number" ? retry : null;
    } catch (error) {
      if (error instanceof Refused) throw error;
      return error instanceof Later ? error.ms : null;
    }
  }

  // choose is for Automatic: what never came to life gives way to the next, what
  // lived long to the best.
  function choose(seen) {
    if (wanted !== AUTOMATIC) return;
    if (!seen.live) at = (at + 1) % TRANSPORTS.length;
    else if (Date.now() - seen.live > WORKED_MS) at = 0;
  }

  async function run() {
    let failures = 0;
    while (!closed) {
      const { signal } = turn;
      const seen = { live: 0 };
      on.state({ name: cursor ? "reconnecting" : "connecting", transport: current() });
      const asked = await runOnce(signal, seen);
      if (signal.aborted) continue; // switched, or woken: at once
      failures = seen.live ? 0 : failures + 1;
      choose(seen);
      const most = Math.min(FIRST_DELAY_MS * 2 ** Math.max(0, failures - 1), MOST_DELAY_MS);
      const delay = asked === null ? Math.random() * most : asked;
      on.state({ name: "waiting", transport: current(), delay });
      waiting = true;
      await pause(delay, signal).catch(() => {});
      waiting = false;
    }
  }

  function again() {
    turn.abort();
    turn = new AbortController();
  }

  // Back online, or looked at again: do not sit out the pause.
  function wake() {
    if (waiting && document.visibilityState === "visible") again();
  }
  addEventListener("online", wake);
  document.addEventListener("visibilitychange", wake);

  function close() {
    closed = true;
    turn.abort();
    removeEventListener("online", wake);
    document.removeEventListener("visibilitychange", wake);
  }

  run().catch((error) => {
    close();
    on.refused(error instanceof Refused ? error.reason : "broken");
  });

  return {
    // use switches to a transport, or to Automatic; the cursor stays.
    use(id) {
      wanted = id;
      at = 0;
      again();
    },
    cursor: () => cursor,
    closed: () => closed,
    close,
  };
}
