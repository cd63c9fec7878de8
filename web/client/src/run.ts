// One run of one transport, from its beginning to its end, with all that ends it from
// outside: it is mute, it has fallen silent, something better took over.
import { within } from "./http.js";
import type { Platform } from "./platform.js";
import type { Scope } from "./scope.js";
import type { Tokens } from "./tokens.js";
import type { Ending, Page, Session, Transport } from "./transport.js";
import type { Timing } from "./types.js";

/** What every run is connected to. */
export interface Wiring {
  readonly platform: Platform;
  readonly timing: Timing;
  readonly tokens: Tokens;
  /** The address of a path. */
  url(path: string): string;
  cursor(): string | null;
  page(page: Page): void;
}

export interface Run {
  readonly transport: Transport;
  readonly scope: Scope;
  /** When it said hello; null: not yet. */
  readonly since: number | null;
  /** Whether it said hello, once that is known. */
  readonly greeted: Promise<boolean>;
  readonly done: Promise<Ending>;
  /** Ends it as broken. */
  fail(why: string): void;
  /** Ends it if it has been silent for too long. */
  check(): void;
}

/** What a run asks whoever launched it. may: whether its pages are wanted. */
export interface Hooks {
  greeted(run: Run): void;
  may(run: Run): boolean;
}

/** Starts a transport. */
export function launch(w: Wiring, transport: Transport, outer: Scope, hooks: Hooks): Run {
  const { platform, timing } = w;
  const scope = outer.child();
  let why: Ending = { kind: "over" };
  let since: number | null = null;
  let heard = platform.now();
  let limit = 0; // silence beyond it is death, in ms; 0: it may be silent
  let tellGreeted: (yes: boolean) => void = () => {};
  const greeted = new Promise<boolean>((resolve) => (tellGreeted = resolve));

  function end(ending: Ending): void {
    if (scope.over) return;
    why = ending;
    scope.end();
  }
  const fail = (words: string) => end({ kind: "failed", why: words });

  function check(): void {
    if (limit && platform.now() - heard >= limit) fail("the server has fallen silent");
  }

  /** Looks again whenever the silence could have become too long. */
  function watch(): void {
    check();
    if (!scope.over) scope.onEnd(platform.later(heard + limit - platform.now(), watch));
  }

  function hello(ping: number): void {
    heard = platform.now();
    if (since !== null || scope.over) return;
    since = heard;
    limit = ping * 1000 * timing.silence;
    w.tokens.accepted();
    tellGreeted(true);
    hooks.greeted(run);
    if (limit) watch();
  }

  const session: Session = {
    platform, timing, scope,
    cursor: w.cursor,
    token: w.tokens.get,
    onToken: (act) => void scope.onEnd(w.tokens.onFresh(act)),
    url: w.url,
    async ask({ path, wait = 0, ...ask }) {
      const headers = { ...ask.headers, Authorization: `Bearer ${await w.tokens.get()}` };
      return within(platform, scope, timing.request + wait * 1000, (inner) => platform.request({ ...ask, headers, url: w.url(path) }, inner));
    },
    tell: {
      hello,
      heard: () => void (heard = platform.now()),
      page: (page) => void (!scope.over && hooks.may(run) && w.page(page)),
    },
  };

  const done = new Promise<Ending>((resolve) => {
    scope.onEnd(() => {
      tellGreeted(false);
      resolve(why);
    });
  });
  const run: Run = {
    transport, scope, greeted, done, fail, check,
    get since() {
      return since;
    },
  };
  if (transport.stream) scope.onEnd(platform.later(timing.hello, () => since === null && fail("the stream is mute")));
  transport.run(session).then(end, (error: unknown) => fail(String(error)));
  return run;
}
