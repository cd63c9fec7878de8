// The surroundings of the client in a mini-program.
import type { Platform, Sign } from "../../client/src/platform.js";
import type { Keep } from "../../client/src/types.js";
import type { MiniApi } from "./api.js";
import { createSockets } from "./socket.js";

/** No request of a mini-program may take longer, in ms. */
const LONGEST = 60_000;

function later(ms: number, act: () => void): () => void {
  const timer = setTimeout(act, ms);
  return () => clearTimeout(timer);
}

/** The storage of the mini-program, which has "" for what is not there. */
export function keepOf(api: MiniApi): Keep {
  return {
    getItem(key) {
      const value = api.getStorageSync(key);
      return typeof value === "string" && value !== "" ? value : null;
    },
    setItem: (key, value) => api.setStorageSync(key, value),
    removeItem: (key) => api.removeStorageSync(key),
  };
}

/** Headers come as the server, or the device, wrote them. */
function headerOf(headers: Record<string, unknown>, name: string): string | null {
  const key = Object.keys(headers).find((one) => one.toLowerCase() === name.toLowerCase());
  return key === undefined ? null : String(headers[key]);
}

function createRequest(api: MiniApi): Platform["request"] {
  return (ask, scope) =>
    new Promise((resolve, reject) => {
      const task = api.request({
        url: ask.url, method: ask.method, header: { ...ask.headers },
        ...(ask.body === undefined ? {} : { data: ask.body }),
        dataType: "text", responseType: "text", timeout: LONGEST,
        success({ statusCode, data, header }) {
          off();
          resolve({ status: statusCode, body: typeof data === "string" ? data : JSON.stringify(data), header: (name) => headerOf(header, name) });
        },
        fail({ errMsg }) {
          off();
          reject(new Error(errMsg));
        },
      });
      // An aborted request is told to fail, at once or never.
      const off = scope.onEnd(() => {
        task.abort();
        reject(new Error("it is over"));
      });
    });
}

/**
 * Hidden, a mini-program has 5 s until its connections are cut and its code stands
 * still, so everything ends at once, and begins anew when it is shown. What a network
 * carried does not survive the change to another.
 */
function createWatch(api: MiniApi): (told: (sign: Sign) => void) => () => void {
  return (told) => {
    const show = () => told("wake");
    const hide = () => told("sleep");
    const network = ({ isConnected }: { isConnected: boolean }) => {
      told("offline");
      if (isConnected) told("online");
    };
    api.onAppShow(show);
    api.onAppHide(hide);
    api.onNetworkStatusChange(network);
    return () => {
      api.offAppShow(show);
      api.offAppHide(hide);
      api.offNetworkStatusChange(network as () => void);
    };
  };
}

/** What there is in a mini-program. */
export function miniprogram(api: MiniApi): Platform {
  return {
    request: createRequest(api),
    socket: createSockets(api, later),
    now: Date.now,
    later,
    random: Math.random,
    storage: keepOf(api),
    origin: null,
    watch: createWatch(api),
  };
}
