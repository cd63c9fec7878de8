// The surroundings in browsers, and in Node where it has the same.
import type { Platform, Sign, Socket, SocketEvents, Tabs } from "./platform.js";
import type { Scope } from "./scope.js";
import type { Keep } from "./types.js";

/** Runs work with a signal that fires when the scope ends. */
async function abortable<T>(scope: Scope, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const abort = new AbortController();
  const off = scope.onEnd(() => abort.abort());
  try {
    return await work(abort.signal);
  } finally {
    off();
  }
}

const common = { credentials: "omit", cache: "no-store", redirect: "follow" } as const;
const headOf = (answer: Response) => ({ status: answer.status, header: (name: string) => answer.headers.get(name) });

function openSocket(url: string, protocol: string, on: SocketEvents): Socket {
  const socket = new WebSocket(url, protocol);
  socket.onopen = () => on.opened();
  socket.onmessage = (event) => on.message(String(event.data));
  socket.onclose = (event) => on.closed(event.code);
  return {
    send: (text) => socket.readyState === 1 && socket.send(text),
    close() {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    },
  };
}

/** localStorage, which may be forbidden, or full. */
function localKeep(): Keep | null {
  try {
    const keep = globalThis.localStorage;
    return keep ?? null;
  } catch {
    return null;
  }
}

function watch(told: (sign: Sign) => void): () => void {
  const visible = () => document.visibilityState === "visible" && told("shown");
  const ears: readonly (readonly [EventTarget | undefined, string, () => void])[] = [
    [window, "online", () => told("online")],
    [window, "offline", () => told("offline")],
    [window, "pageshow", visible],
    [document, "visibilitychange", visible],
    [document, "resume", visible],
    [(navigator as { connection?: EventTarget }).connection, "change", () => navigator.onLine && told("online")],
  ];
  for (const [target, name, heard] of ears) target?.addEventListener(name, heard);
  return () => {
    for (const [target, name, heard] of ears) target?.removeEventListener(name, heard);
  };
}

function tabsOf(locks: LockManager): Tabs {
  return {
    lead(name, steal, granted, lost) {
      const abort = new AbortController();
      let over = false;
      let release = () => {};
      const held = () =>
        over ? undefined : new Promise<void>((done) => {
          release = done;
          granted();
        });
      locks.request(name, steal ? { steal } : { signal: abort.signal }, held).catch(() => over || lost());
      return () => {
        over = true;
        abort.abort();
        release();
      };
    },
    channel(name, heard) {
      const channel = new BroadcastChannel(name);
      channel.onmessage = (event) => heard(event.data);
      return { send: (message) => channel.postMessage(message), close: () => channel.close() };
    },
  };
}

/** What there is here. */
export function browser(): Platform {
  const page = typeof document !== "undefined";
  const locks = page ? navigator.locks : undefined;
  return {
    request: (ask, scope) =>
      abortable(scope, async (signal) => {
        const answer = await fetch(ask.url, { ...common, ...ask, signal });
        return { ...headOf(answer), body: await answer.text() };
      }),
    stream: (ask, scope, head, piece) =>
      abortable(scope, async (signal) => {
        const answer = await fetch(ask.url, { ...common, ...ask, signal });
        const reader = head(headOf(answer)) ? answer.body?.getReader() : undefined;
        const decoder = new TextDecoder();
        for (let part; reader && !(part = await reader.read()).done; ) piece(decoder.decode(part.value, { stream: true }));
      }),
    ...(typeof WebSocket === "undefined" ? {} : { socket: openSocket }),
    now: Date.now,
    later(ms, act) {
      const timer = setTimeout(act, ms);
      return () => clearTimeout(timer);
    },
    random: Math.random,
    storage: localKeep(),
    origin: page && location.origin !== "null" ? location.origin : null,
    ...(page ? { watch } : {}),
    ...(locks && typeof BroadcastChannel !== "undefined" ? { tabs: tabsOf(locks) } : {}),
  };
}
