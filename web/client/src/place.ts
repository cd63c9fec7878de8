// The place of an inbox among the tabs of its user: alone, leading with a link of its
// own, or following the tab that leads.
import { backOff, parse, pause, within, wordsOf } from "./http.js";
import { createLink, type Link } from "./link.js";
import type { Sign } from "./platform.js";
import type { Wiring } from "./run.js";
import type { Scope } from "./scope.js";
import { createShare, type Role, type Share, type Wish } from "./share.js";
import type { Store } from "./store.js";
import { claimsOf, keyOf } from "./tokens.js";
import type { Page, Transport } from "./transport.js";
import type { ConnectionState, InboxOptions, Keep, TransportName } from "./types.js";

export interface PlaceOptions extends Omit<Wiring, "cursor" | "page"> {
  readonly store: Store;
  /** Ends everything. */
  readonly scope: Scope;
  readonly options: InboxOptions;
  readonly transports: readonly Transport[];
}

export interface Place {
  /** Whose inbox it is, as far as the token says it. */
  user(): string | null;
  use(transports: readonly TransportName[] | null): void;
  connect(): void;
}

/** A storage that may refuse: then nothing is kept. */
function safe(keep: Keep | null): Keep {
  const attempt = <T>(act: () => T, or: T): T => {
    try {
      return act();
    } catch {
      return or;
    }
  };
  return {
    getItem: (key) => attempt(() => keep?.getItem(key) ?? null, null),
    setItem: (key, value) => attempt(() => keep?.setItem(key, value), undefined),
    removeItem: (key) => attempt(() => keep?.removeItem(key), undefined),
  };
}

/** Asks the server which transports it offers, the best first; all of ours if it does not say. */
function createOrder(wiring: Wiring, all: readonly Transport[], scope: Scope) {
  const { platform, timing } = wiring;
  const ours = all.filter((transport) => transport.fits(platform));
  let offered: Promise<readonly Transport[] | null> | null = null;

  /** Those of these names that we have, in their order. */
  const pick = (names: readonly unknown[]) => names.flatMap((name) => ours.filter((transport) => transport.name === name));

  async function ask(): Promise<readonly Transport[] | null> {
    try {
      const url = wiring.url("/v1/transports");
      const answer = await within(platform, scope, timing.request, (inner) => platform.request({ method: "GET", url, headers: {} }, inner));
      const list = parse(answer.body)["transports"];
      const picked = Array.isArray(list) ? pick(list.map((one: { name?: unknown }) => one.name)) : [];
      if (picked.length > 0) return picked;
    } catch {
      // Then the server is asked again the next time.
    }
    offered = null;
    return null;
  }

  return async (chosen: readonly TransportName[] | null): Promise<readonly Transport[]> =>
    chosen ? pick(chosen) : ((await (offered ??= ask())) ?? ours);
}

/** Whether a state is the end of what this tab may do. */
const isRefusal = (state: ConnectionState) => state.name === "refused";

/** Finds the place, and keeps it until the scope ends. */
export function createPlace(o: PlaceOptions): Place {
  const { platform, timing, tokens, store, scope, options, url } = o;
  const keep = safe(options.storage === undefined ? platform.storage : options.storage);
  const keeps = Boolean(options.storage); // the cursor, too
  const shares = platform.tabs && (options.share ?? (options.cursor === undefined && !keeps));
  let chosen = options.transports ?? null;
  let user: string | null = null;
  let link: Link | null = null;
  let share: Share | null = null;
  let beginning = false;
  let nap: Scope | null = null; // the wait before a token is asked for again
  const wiring: Wiring = { platform, timing, tokens, url, cursor: () => store.cursor, page: deliver };
  const order = createOrder(wiring, o.transports, scope);
  const keyFor = (what: string) => `tocsin:${what}:${url("")}`;
  const cursorKey = () => `${keyFor("cursor")}:${user ?? ""}`;

  /** What the link brings: applied, told to the other tabs, remembered. */
  function deliver(page: Page): void {
    const from = store.cursor;
    store.page(page);
    share?.page(from, page);
    if (keeps && store.cursor !== null && store.cursor !== from) keep.setItem(cursorKey(), store.cursor);
  }

  /** What the link is in; a refused tab leaves the line, so that another may try its own token. */
  function become(state: ConnectionState): void {
    if (isRefusal(state)) leave();
    else share?.state(state);
    store.become(state);
  }

  function leave(): void {
    link?.close();
    share?.close();
    link = share = null;
  }

  function lead(): void {
    link = createLink({
      ...wiring,
      order: () => order(chosen),
      worked: { get: () => keep.getItem(keyFor("worked")), set: (name) => keep.setItem(keyFor("worked"), name) },
      state: become,
      restart() {
        keep.removeItem(cursorKey());
        store.empty();
      },
    });
  }

  function wish(wish: Wish): void {
    if ("use" in wish) chosen = wish.use;
    if ("use" in wish || store.state.name === "superseded") link?.again();
    else link?.hurry();
  }

  const role: Role = {
    lead,
    follow() {
      link?.close();
      link = null;
    },
    whole: () => ({ page: store.whole(), state: store.state }),
    replace: store.replace,
    page: store.page,
    // Others' connections are others' to lead.
    state: (state) => store.become("leader" in state ? { ...state, leader: false } : state),
    wish,
    cursor: () => store.cursor,
  };

  /** Whose inbox it is decides with whom to share and where to begin, so the token comes first. */
  async function begin(): Promise<void> {
    if (beginning) return;
    beginning = true;
    for (let failures = 0; !scope.over; failures++) {
      try {
        const token = await tokens.get();
        beginning = false;
        if (!scope.over) join(token);
        return;
      } catch (error) {
        const ms = backOff(platform, timing, failures);
        store.become({ name: "offline", retryAt: platform.now() + ms, why: wordsOf(error) });
        await pause(platform, (nap = scope.child()), ms);
        nap.end();
      }
    }
  }

  function join(token: string): void {
    user = claimsOf(token).sub;
    if (keeps && store.cursor === null) store.start(keep.getItem(cursorKey()));
    const key = keyOf(token);
    if (platform.tabs && shares && key !== null) share = createShare(platform, platform.tabs, `${keyFor("inbox")}:${key}`, timing, role);
    else lead();
  }

  function sign(what: Sign): void {
    link?.sign(what);
    if (what === "shown") share?.check();
    if (what !== "offline") nap?.end();
  }

  if (platform.watch) scope.onEnd(platform.watch(sign));
  scope.onEnd(leave);
  void Promise.resolve().then(begin);
  return {
    user: () => user,
    use(names) {
      chosen = names;
      if (share) share.wish({ use: names });
      else wish({ use: names });
    },
    connect() {
      if (scope.over) return;
      if (share) share.wish({ connect: true });
      else if (link) wish({ connect: true });
      else if (nap && beginning) nap.end();
      else void begin();
    },
  };
}
