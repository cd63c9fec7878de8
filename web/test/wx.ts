// WeChat's environment for mini-programs, as far as the adapter uses it, over real
// sockets, with its limits and its oddities: what a phone would not do, this does not.
import { Agent, request as send, type ClientRequest } from "node:http";
import type { MiniApi, RequestOption, SocketTask } from "../miniprogram/src/api.js";
import { openWire } from "./rfc6455.js";

/** What WeChat allows. */
export const LIMITS = { sockets: 5, requests: 10, request: 60_000, background: 5000, key: 1 << 20 };

export interface Phone {
  readonly wx: MiniApi;
  /** Brings the mini-program to the front, or puts it into the background. */
  show(): void;
  hide(): void;
  /** Another network, or with "none" no network: what was open is cut off. */
  network(type: string): void;
  /** How many sockets are open or being opened, and the most there were at a time. */
  readonly sockets: number;
  readonly mostSockets: number;
  readonly requests: number;
  /** Addresses that were asked for, in order, with ws: for sockets. */
  readonly asked: readonly string[];
  /** What the environment refused or cut, in its words. */
  readonly refused: readonly string[];
}

/** A phone on which one mini-program runs; domains are those declared for it. backgroundMs shortens the 5 s. */
export function createPhone(domains: readonly string[], kept = new Map<string, string>(), backgroundMs = LIMITS.background): Phone {
  const shows = new Set<() => void>(), hides = new Set<() => void>();
  const networks = new Set<(told: { isConnected: boolean; networkType: string }) => void>();
  const open = new Set<{ cut(why: string): void; readonly socket: boolean }>();
  const asked: string[] = [], refused: string[] = [];
  const agent = new Agent({ keepAlive: true, maxSockets: LIMITS.requests });
  let suspended = false, online = true, mostSockets = 0;
  let suspend: ReturnType<typeof setTimeout> | undefined;
  const soon = (act: () => void) => void setImmediate(act);
  const count = (socket: boolean) => [...open].filter((one) => one.socket === socket).length;

  /** Why this must not be asked for; null: it may. */
  function forbidden(url: string, socket: boolean): string | null {
    const { host } = new URL(url);
    if (!domains.includes(host)) return "fail url not in domain list";
    if (suspended) return "fail interrupted";
    if (!online) return "fail net::ERR_INTERNET_DISCONNECTED";
    if (count(socket) >= (socket ? LIMITS.sockets : LIMITS.requests)) return "fail exceed max connections";
    return null;
  }

  function refuse(errMsg: string, fail: (told: { errMsg: string }) => void): void {
    refused.push(errMsg);
    soon(() => fail({ errMsg }));
  }

  function request(option: RequestOption) {
    asked.push(option.url);
    const why = forbidden(option.url, false);
    if (why) {
      refuse(`request:${why}`, option.fail);
      return { abort() {} };
    }
    let over = false;
    const one = { socket: false, cut: (errMsg: string) => end(() => refuse(`request:fail ${errMsg}`, option.fail)) };
    const guard = setTimeout(() => one.cut("timeout"), Math.min(option.timeout, LIMITS.request));
    function end(act: () => void): void {
      if (over) return;
      over = true;
      open.delete(one);
      clearTimeout(guard);
      task.destroy();
      act();
    }
    const task: ClientRequest = send(option.url, { method: option.method, headers: option.header, agent }, (answer) => {
      const parts: Buffer[] = [];
      answer.on("data", (part: Buffer) => parts.push(part));
      answer.on("error", (error) => one.cut(error.message));
      answer.on("end", () => {
        const told = { statusCode: answer.statusCode ?? 0, data: Buffer.concat(parts).toString("utf8"), header: { ...answer.headers } };
        end(() => soon(() => option.success(told)));
      });
    });
    task.on("error", (error) => one.cut(error.message));
    open.add(one);
    task.end(option.data);
    return { abort: () => one.cut("abort") };
  }

  function connectSocket({ url, protocols, fail }: Parameters<MiniApi["connectSocket"]>[0]): SocketTask {
    asked.push(url);
    const opens = new Set<() => void>(), closes = new Set<(told: { code: number }) => void>();
    const messages = new Set<(told: { data: string }) => void>(), errors = new Set<(told: { errMsg: string }) => void>();
    const why = forbidden(url, true);
    let state: "opening" | "open" | "closed" = "opening";
    if (why) {
      state = "closed";
      refuse(`connectSocket:${why}`, fail);
    }
    const wire = why ? null : openWire(url, protocols, {
      opened() {
        state = "open";
        for (const heard of opens) heard();
      },
      message: (data) => messages.forEach((heard) => heard({ data })),
      closed(code, errMsg) {
        const was = state;
        state = "closed";
        open.delete(one);
        if (was === "opening" || code === 1006) for (const heard of errors) heard({ errMsg });
        for (const heard of closes) heard({ code });
      },
    });
    const one = { socket: true, cut: (errMsg: string) => (refused.push(errMsg), wire?.cut()) };
    if (wire) open.add(one);
    mostSockets = Math.max(mostSockets, count(true));
    return {
      // Before it is open both are in vain, as on the devices.
      send: ({ data, fail: failed }) => (state === "open" ? wire?.send(data) : failed && soon(failed)),
      close: ({ code = 1000 }) => state === "open" && wire?.close(code),
      onOpen: (heard) => void opens.add(heard),
      onMessage: (heard) => void messages.add(heard),
      onClose: (heard) => void closes.add(heard),
      onError: (heard) => void errors.add(heard),
    };
  }

  function cutAll(why: string): void {
    for (const one of [...open]) one.cut(why);
  }

  const wx: MiniApi = {
    request, connectSocket,
    getStorageSync: (key) => kept.get(key) ?? "",
    setStorageSync(key, value) {
      if (value.length > LIMITS.key) throw new Error("setStorageSync:fail entry size limit reached");
      kept.set(key, value);
    },
    removeStorageSync: (key) => void kept.delete(key),
    onAppShow: (heard) => void shows.add(heard),
    onAppHide: (heard) => void hides.add(heard),
    offAppShow: (heard) => void shows.delete(heard),
    offAppHide: (heard) => void hides.delete(heard),
    onNetworkStatusChange: (heard) => void networks.add(heard),
    offNetworkStatusChange: (heard) => void networks.delete(heard),
  };
  return {
    wx, asked, refused,
    show() {
      clearTimeout(suspend);
      suspended = false;
      for (const heard of [...shows]) heard();
    },
    hide() {
      for (const heard of [...hides]) heard();
      suspend = setTimeout(() => {
        suspended = true;
        cutAll("interrupted");
      }, backgroundMs);
    },
    network(type) {
      online = type !== "none";
      cutAll("network changed");
      for (const heard of [...networks]) heard({ isConnected: online, networkType: type });
    },
    get sockets() {
      return count(true);
    },
    get requests() {
      return count(false);
    },
    get mostSockets() {
      return mostSockets;
    },
  };
}
