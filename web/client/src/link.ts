// The link keeps one transport running, whichever works, and one cursor across all of
// them: whatever ends, the next goes on where it was.
import { backOff, noAnswer, pause, wordsOf } from "./http.js";
import { look } from "./page.js";
import { createScope, type Scope } from "./scope.js";
import { launch, type Run, type Wiring } from "./run.js";
import type { Sign } from "./platform.js";
import type { Ending, Transport } from "./transport.js";
import type { ConnectionState, TransportName } from "./types.js";

/** What a link is given, and whom it tells. */
export interface LinkOptions extends Wiring {
  /** The transports to use, the best first; asked for whenever the link begins. */
  order(): Promise<readonly Transport[]>;
  /** Which one worked the last time, and to remember it. */
  readonly worked: { get(): string | null; set(name: TransportName): void };
  state(state: ConnectionState): void;
  /** The server cannot read the cursor: forget it, and what it stood for. */
  restart(): void;
}

export interface Link {
  /** Begins again: with another order of transports, or after it had stopped. */
  again(): void;
  /** Does not wait any longer, if it waits. */
  hurry(): void;
  sign(sign: Sign): void;
  close(): void;
}

/** What has lived so long, in times of Timing.hello, has worked well. */
const STEADY = 12;
/** A transport that broke so often in a row before that gives way to the next. */
const STRIKES = 3;
/** What was remembered from the last time is looked beyond after this part of Timing.probe. */
const EARLY = 1 / 20;

const OVER: Ending = { kind: "over" };
const TROUBLE = /\/(stale|storage-unavailable)$/;

/** Opens a link and begins. Nothing it tells comes before it has returned. */
export function createLink(o: LinkOptions): Link {
  const { platform, timing } = o;
  const root = createScope();
  const strikes = new Map<TransportName, number>();
  let turn = root.child(); // ends the present run, or the pause after it
  let current: Run | null = null;
  let good = o.worked.get();
  let looked = false;
  let failures = 0;
  let waiting = false;
  let probing = false;
  let asleep = false;
  let loops = 0; // the last one begun is the one that runs
  let stopped = false; // it has ended, and only again() begins another
  let remembered = good !== null;
  let excused = false; // the present run ends for what is no fault of its transport
  let stale = false; // what the server said last of its touch with the log

  const wiring: Wiring = {
    ...o,
    page(page) {
      if (page.counts && !!page.counts.stale !== stale) {
        stale = !stale;
        if (current) show(current);
      }
      o.page(page);
    },
  };

  function show({ transport: { name, mode }, since }: Run): void {
    o.state(stale ? { name: "stale", transport: name } : { name: mode, transport: name, since: since ?? 0, leader: true });
  }

  /** What says hello takes over from what ran until then. */
  function greeted(run: Run, list: readonly Transport[]): void {
    const { name } = run.transport;
    const before = current;
    current = run;
    if (before !== run) before?.scope.end();
    good = name;
    o.worked.set(name);
    show(run);
    plan(run, list, remembered ? timing.probe * EARLY : timing.probe);
    remembered = false;
  }

  /** Arranges for a better one to be tried. */
  function plan(run: Run, list: readonly Transport[], ms: number): void {
    if (list[0] === run.transport) return;
    run.scope.onEnd(platform.later(ms, () => void probe(false)));
  }

  /** Tries what is better than the present one, and with same that one too; it goes on until one says hello. */
  async function probe(same: boolean): Promise<void> {
    const old = current;
    const scope = turn;
    if (probing || !old) return;
    probing = true;
    const list = await o.order();
    for (const transport of list) {
      if (scope.over || current !== old || (transport === old.transport && !same)) break;
      if (await start(transport, list, scope).greeted) break;
      if (transport === old.transport) break;
    }
    probing = false;
    if (current === old && !old.scope.over) plan(old, list, timing.probe);
  }

  const start = (transport: Transport, list: readonly Transport[], scope: Scope): Run =>
    launch(wiring, transport, scope, { greeted: (run) => greeted(run, list), may: (run) => current === run });

  /** Waits for the end of a run, or of what took over from it. */
  async function follow(run: Run): Promise<{ ending: Ending; last: Run }> {
    for (let last = run; ; ) {
      const ending = await last.done;
      if (current === null || current === last) {
        current = null;
        return { ending, last };
      }
      last = current;
    }
  }

  /** One short poll: what is new in one round trip, and whether the server can be reached at all. */
  async function lookOnce(scope: Scope): Promise<Ending | null> {
    let answered = false;
    const run = launch(wiring, {
      name: "poll", mode: "polling", stream: false, fits: () => true,
      async run(session) {
        const { ending } = await look(session, 0, "");
        answered = !ending;
        return ending ?? OVER;
      },
    }, scope, { greeted: () => {}, may: () => true });
    const ending = await run.done;
    return scope.over ? OVER : answered ? null : ending;
  }

  /** Goes down the list, from what worked, until something says hello; then as long as it lives. */
  async function round(scope: Scope): Promise<Ending> {
    stale = false;
    const ordering = o.order();
    // What does not get through is blamed only where the network was there before and after.
    let there = !looked;
    if (!looked) {
      const ending = await lookOnce(scope);
      if (ending) return ending;
      looked = true;
    }
    const list = await ordering;
    let at = Math.max(0, list.findIndex(({ name }) => name === good));
    for (let transport; (transport = list[at]) && !scope.over; ) {
      const { ending, last } = await follow(start(transport, list, scope));
      if (scope.over || last.since !== null) return judge(last, ending, list);
      if (ending.kind !== "failed") return ending;
      const unreachable = await lookOnce(scope);
      if (unreachable) return unreachable;
      if (there) at++;
      there = true;
    }
    good = null;
    return scope.over ? OVER : { kind: "failed", why: "no transport gets through" };
  }

  /** What lived long did well; what breaks again and again gives way. */
  function judge(run: Run, ending: Ending, list: readonly Transport[]): Ending {
    const { name } = run.transport;
    const lived = platform.now() - (run.since ?? 0);
    if (lived > timing.hello) failures = 0;
    if (excused || lived > timing.hello * STEADY || ending.kind !== "failed") {
      if (!excused && ending.kind !== "over") strikes.delete(name);
      excused = false;
      return ending;
    }
    const count = (strikes.get(name) ?? 0) + 1;
    strikes.set(name, count);
    if (count >= STRIKES) {
      strikes.set(name, 0);
      good = (list[list.indexOf(run.transport) + 1] ?? run.transport).name;
    }
    return ending;
  }

  /** How long to wait after an ending, in ms; null: not to come back. It tells the state meanwhile. */
  function after(ending: Ending): number | null {
    const back = backOff(platform, timing, failures);
    if (ending.kind === "over") return 0;
    if (ending.kind === "token" && o.tokens.refused()) return 0;
    if (ending.kind === "superseded") o.state({ name: "superseded" });
    else if (ending.kind === "token" || ending.kind === "refused") o.state({ name: "refused", problem: ending.problem });
    if (ending.kind === "superseded" || ending.kind === "token" || ending.kind === "refused") return null;
    if (ending.kind === "cursor") {
      looked = false;
      o.restart();
    }
    if (ending.kind !== "bye") failures++;
    const ms = ending.kind === "bye" ? Math.min(ending.retry, timing.retryMost) : Math.max(back, ending.kind === "later" ? ending.retry : 0);
    tellWaiting(ending, ms);
    return ms;
  }

  function tellWaiting(ending: Ending, ms: number): void {
    const stale = (ending.kind === "bye" && /stale|unavailable/.test(ending.reason)) || (ending.kind === "later" && TROUBLE.test(ending.problem.type));
    const why = ending.kind === "failed" ? ending.why : ending.kind === "later" ? ending.problem.title : "the cursor cannot be read";
    if (stale) o.state({ name: "stale", transport: (good ?? "poll") as TransportName });
    else if (ending.kind === "bye") o.state({ name: "connecting" });
    else o.state({ name: "offline", retryAt: platform.now() + ms, why });
  }

  async function loop(): Promise<void> {
    const mine = ++loops;
    stopped = false;
    while (!root.over && loops === mine) {
      const scope = (turn = root.child());
      const ending = await round(scope);
      if (loops !== mine) return;
      const ms = root.over || scope.over ? 0 : after(ending);
      stopped = ms === null;
      if (stopped) loops++;
      waiting = true;
      if (ms) await pause(platform, scope, ms);
      waiting = false;
      scope.end();
    }
  }

  /** A loop that ended for an error of ours must not leave the page in silence. */
  const begin = () =>
    loop().catch((error: unknown) => {
      stopped = true;
      o.state({ name: "refused", problem: noAnswer(wordsOf(error)) });
    });

  function again(): void {
    looked = false;
    failures = 0;
    good = null;
    strikes.clear();
    o.state({ name: "connecting" });
    if (stopped) void begin();
    else turn.end();
  }

  const signs: Readonly<Record<Sign, () => void>> = {
    online: () => (current ? void probe(true) : hurry()),
    offline() {
      excused = current !== null;
      current?.fail("there is no network");
    },
    shown: () => (current ? current.check() : hurry()),
    sleep() {
      if (asleep || stopped) return;
      asleep = true;
      loops++;
      turn.end();
      current = null;
      o.state({ name: "connecting" });
    },
    wake() {
      if (!asleep) return;
      asleep = looked = false;
      void begin();
    },
  };
  const hurry = () => waiting && turn.end();

  void Promise.resolve().then(begin);
  return { again, hurry, sign: (sign) => signs[sign](), close: () => root.end() };
}
