// The inbox over a WebSocket: the native protocol (docs/protocol.md §6).
import { Refused, Unusable, createWatchdog } from "./wire.js";

const REFUSALS = { 4401: "token", 4403: "forbidden", 4409: "superseded" };

// run tells what comes until the connection ends; it returns in how many
// milliseconds to come back, if the server said so.
export function runWebSocket({ token, cursor, signal, tell }) {
  return new Promise((resolve, reject) => {
    const url = new URL("v1/inbox/ws", document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url, "tocsin.v1.json");
    const watchdog = createWatchdog(() => end(resolve, undefined));
    const from = cursor();
    let greeted = false;
    let retry;

    const send = (message) => socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify(message));

    function end(settle, value) {
      watchdog.stop();
      signal.removeEventListener("abort", abort);
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
      settle(value);
    }
    const abort = () => end(reject, signal.reason);

    // What each message of the server does.
    const on = {
      hello(message) {
        greeted = true;
        // With a gap ahead, the cursor stays what it is until the gap was told.
        if (message.resumed || !from) tell.cursor(message.cursor);
        tell.counts(message);
        tell.live();
      },
      entries(message) {
        tell.entries(message.entries, message.cursor);
        tell.counts(message);
      },
      counts: (message) => tell.counts(message),
      gap(message) {
        tell.gap(message.gap);
        if (message.cursor) tell.cursor(message.cursor);
      },
      ping(message) {
        if (message.cursor) tell.cursor(message.cursor);
        send({ op: "pong" });
      },
      bye(message) {
        retry = message.retry_ms;
      },
    };

    socket.onopen = () => send({ op: "auth", token, ...(from ? { cursor: from } : { snapshot: "active" }) });
    socket.onmessage = (event) => {
      watchdog.heard();
      const message = JSON.parse(event.data);
      if (Object.hasOwn(on, message.op)) on[message.op](message);
    };
    socket.onclose = (event) => {
      if (REFUSALS[event.code]) end(reject, new Refused(REFUSALS[event.code]));
      else if (!greeted && event.code === 1006) end(reject, new Unusable("no WebSocket gets through"));
      else end(resolve, retry);
    };
    signal.addEventListener("abort", abort, { once: true });
  });
}
