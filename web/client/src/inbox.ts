// An inbox: what it knows, its place among the tabs, and the commands.
import { createCommands } from "./commands.js";
import { createPlace } from "./place.js";
import type { Platform } from "./platform.js";
import { createScope } from "./scope.js";
import { createStore } from "./store.js";
import { createTokens } from "./tokens.js";
import type { Transport } from "./transport.js";
import type { Inbox, InboxOptions, Timing } from "./types.js";

/** The times that hold where the caller names no others. */
export const DEFAULTS: Timing = { hello: 5000, silence: 2.5, retryFirst: 500, retryMost: 30_000, probe: 600_000, wait: 25, request: 10_000 };

/** Opens an inbox in any surroundings, with any list of transports, the best first. */
export function openInbox(platform: Platform, options: InboxOptions, transports: readonly Transport[]): Inbox {
  const timing: Timing = { ...DEFAULTS, ...options.timing };
  const base = (options.url ?? platform.origin)?.replace(/\/+$/, "");
  if (base === undefined) throw new TypeError("url: where is the server?");
  if (options.token === undefined && !options.getToken) throw new TypeError("token or getToken is required");
  const scope = createScope();
  const store = createStore(platform, options.cursor ?? null);
  const tokens = createTokens(platform, options, timing);
  const url = (path: string) => base + path;
  const place = createPlace({ platform, timing, tokens, url, store, scope, options, transports });
  const commands = createCommands({
    platform, timing, tokens, url, scope,
    cursor: () => store.cursor,
    alarms: store.alarms,
    counts: store.counted,
    problem: (problem) => store.tell("problem", problem),
  });
  scope.onEnd(tokens.close);
  return {
    get state() {
      return store.state;
    },
    get cursor() {
      return store.cursor;
    },
    get counts() {
      return store.counts;
    },
    get user() {
      return place.user();
    },
    on: store.on,
    alarms: store.list.alarms,
    notices: store.list.notices,
    ...commands,
    use: place.use,
    connect: place.connect,
    close() {
      scope.end();
      store.become({ name: "closed" });
    },
  };
}
