// What the transports have in common: the errors that they end with, and requests
// that carry the token.

// A server is taken for dead when it has been silent for so long.
export const SILENCE_MS = 45_000;

// Refused: the server knows the client and wants no more of it. It does not help
// to try again; reason is "token", "forbidden" or "superseded".
export class Refused extends Error {
  constructor(reason) {
    super(reason);
    this.reason = reason;
  }
}

// Unusable: this transport cannot work here, others may.
export class Unusable extends Error {}

// Later: the server asks to come back after a while.
export class Later extends Error {
  constructor(message, ms) {
    super(message);
    this.ms = ms;
  }
}

// A Problem is an answer that is none of these (docs/protocol.md §10).
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `status ${status}`);
    this.status = status;
  }
}

// check turns an answer that is not good into an error.
export async function check(response) {
  if (response.ok || response.status === 304) return;
  if (response.status === 401) throw new Refused("token");
  if (response.status === 403) throw new Refused("forbidden");
  const body = await response.json().catch(() => ({}));
  if (response.status === 404 || response.status === 406) throw new Unusable(body.title || "not offered");
  const seconds = Number(response.headers.get("Retry-After"));
  if (seconds > 0) throw new Later(body.title || "busy", seconds * 1000);
  throw new Problem(response.status, body);
}

// placeQuery says where to begin: at the cursor, or with everything open.
export function placeQuery(cursor, more = {}) {
  const query = new URLSearchParams(more);
  if (cursor) query.set("cursor", cursor);
  else query.set("snapshot", "active");
  return query;
}

// api calls the server with the token; path is relative to the page.
export function createApi(token) {
  const authorization = { Authorization: `Bearer ${token}` };

  async function post(path, body) {
    const response = await fetch(path, {
      method: "POST", credentials: "omit", cache: "no-store",
      headers: { ...authorization, "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    if (response.ok) return response.json();
    if (response.status === 401) throw new Refused("token");
    throw new Problem(response.status, await response.json().catch(() => ({})));
  }

  return {
    get: (path, headers, signal) =>
      fetch(path, { headers: { ...authorization, ...headers }, credentials: "omit", cache: "no-store", signal }),
    acknowledge: (id) => post(`v1/alarms/${encodeURIComponent(id)}/ack`, {}),
    readUpto: (cursor) => post("v1/inbox/read", { upto: cursor }),
  };
}

// pause waits, unless the signal ends it, which is an AbortError.
export function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const timer = setTimeout(done, ms);
    function done() {
      signal.removeEventListener("abort", stop);
      resolve();
    }
    function stop() {
      clearTimeout(timer);
      reject(signal.reason);
    }
    signal.addEventListener("abort", stop, { once: true });
  });
}

// createWatchdog calls bark when nothing was heard for SILENCE_MS.
export function createWatchdog(bark) {
  let timer = setTimeout(bark, SILENCE_MS);
  return {
    heard() {
      clearTimeout(timer);
      timer = setTimeout(bark, SILENCE_MS);
    },
    stop: () => clearTimeout(timer),
  };
}
