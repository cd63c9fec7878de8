// The inbox as server-sent events (docs/protocol.md §5), read by fetch, which can
// send the token in a header.
import { Refused, Unusable, check, createWatchdog, placeQuery } from "./wire.js";

// createParser calls each with the events of a stream that comes in pieces.
export function createParser(each) {
  let rest = "";
  let event = { type: "", data: [], id: null };

  function line(text) {
    if (text === "") {
      if (event.data.length > 0) each({ type: event.type || "message", data: event.data.join("\n"), id: event.id });
      event = { type: "", data: [], id: null };
      return;
    }
    const colon = text.indexOf(":");
    if (colon === 0) return; // a comment
    const name = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? "" : text.slice(colon + (text[colon + 1] === " " ? 2 : 1));
    if (name === "data") event.data.push(value);
    else if (name === "event") event.type = value;
    else if (name === "id") event.id = value;
  }

  return (piece) => {
    rest += piece;
    // A CR at the end may be half of a CRLF, so it waits for the next piece.
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    lines.forEach(line);
  };
}

// run is like runWebSocket.
export async function runEvents({ api, cursor, signal, tell }) {
  const dead = new AbortController();
  const watchdog = createWatchdog(() => dead.abort());
  let retry;

  // What each event does; those without a name are entries.
  const on = {
    hello(data) {
      tell.counts(data);
      tell.live();
    },
    message: (data, id) => tell.entries([data], id),
    counts: (data) => tell.counts(data),
    gap: (data) => tell.gap(data),
    bye(data) {
      retry = data.retry_ms;
    },
  };

  const parse = createParser(({ type, data, id }) => {
    if (Object.hasOwn(on, type)) on[type](JSON.parse(data), id);
    if (id && type !== "message") tell.cursor(id);
  });

  try {
    const response = await api.get(`v1/inbox/sse?${placeQuery(cursor())}`, { Accept: "text/event-stream" },
      AbortSignal.any([signal, dead.signal]));
    await check(response);
    if (response.status === 204) throw new Refused("token");
    if (!response.body) throw new Unusable("answers cannot be read while they grow");
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return retry;
      watchdog.heard();
      parse(value);
    }
  } catch (error) {
    if (dead.signal.aborted && !signal.aborted) return undefined;
    throw error;
  } finally {
    watchdog.stop();
    dead.abort();
  }
}
