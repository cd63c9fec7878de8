// The inbox over a WebSocket (docs/protocol.md §6). Tokens are renewed in place.
import { PROTOCOL, endingOfBye, parse, wordsOf } from "./http.js";
import type { Ending, Page, Session, Transport } from "./transport.js";
import type { Socket } from "./platform.js";
import type { Counts, Entry, Gap, Problem } from "./types.js";

interface Message {
  readonly op?: string;
  readonly cursor?: string;
  readonly resumed?: boolean;
  readonly ping?: number;
  readonly entries?: readonly Entry[];
  readonly gap?: Gap;
  readonly reason?: string;
  readonly retry_ms?: number;
  readonly problem?: Problem;
  readonly unread?: number;
}

const REFUSED: Problem = { type: "/problems/forbidden", title: "The token does not open this inbox", status: 403 };
const EXPIRED: Problem = { type: "/problems/expired-token", title: "The token is not accepted", status: 401 };

/** What a close code means where no bye came before it. */
function endingOfCode(code: number, problem: Problem | undefined): Ending {
  if (code === 4401) return { kind: "token", problem: problem ?? EXPIRED };
  if (code === 4403) return { kind: "refused", problem: problem ?? REFUSED };
  if (code === 4409) return { kind: "superseded" };
  return { kind: "failed", why: `the WebSocket was closed (${code})` };
}

/** The message's own counters, if it has any. */
const countsOf = (message: Message) => (message.unread === undefined ? {} : { counts: message as unknown as Counts });

/** What each message does. A gap waits for the entries that repair it. */
function listen(session: Session, from: string | null, send: (message: object) => void, end: (ending: Ending) => void) {
  let gap: Gap | undefined;
  let problem: Problem | undefined;
  const page = (message: Message, more: Partial<Page> = {}) =>
    session.tell.page({ entries: [], ...(message.cursor === undefined ? {} : { cursor: message.cursor }), ...countsOf(message), ...more });
  const on: Readonly<Record<string, (message: Message) => void>> = {
    hello(message) {
      session.tell.hello(message.ping ?? 0);
      // With a gap ahead, the cursor stays what it is until the gap was told.
      const { cursor, ...rest } = message;
      page(message.resumed || from === null ? message : rest);
    },
    gap(message) {
      gap = message.gap;
    },
    entries(message) {
      page(message, { entries: message.entries ?? [], ...(gap ? { gap } : {}) });
      gap = undefined;
    },
    counts: (message) => page(message),
    ping(message) {
      page(gap ? {} : message);
      send({ op: "pong" });
    },
    error: (message) => void (problem = message.problem),
    bye: (message) => end(endingOfBye(message.reason ?? "", message.retry_ms)),
  };
  return {
    message(text: string) {
      session.tell.heard();
      const message: Message = parse(text);
      if (message.op !== undefined && Object.hasOwn(on, message.op)) on[message.op]?.(message);
    },
    problem: () => problem,
  };
}

async function run(session: Session): Promise<Ending> {
  const { platform, scope } = session;
  const from = session.cursor();
  let token: string;
  try {
    token = await session.token();
  } catch (error) {
    return { kind: "failed", why: wordsOf(error) };
  }
  return new Promise((resolve) => {
    if (scope.over || !platform.socket) return resolve({ kind: "over" });
    let socket: Socket | null = null;
    let open = false;
    const send = (message: object) => socket?.send(JSON.stringify(message));
    const end = (ending: Ending) => {
      open = false;
      off();
      socket?.close();
      resolve(ending);
    };
    const off = scope.onEnd(() => end({ kind: "over" }));
    const ear = listen(session, from, send, end);
    session.onToken((next) => open && send({ op: "auth", token: next }));
    try {
      socket = platform.socket(session.url("/v1/inbox/ws").replace(/^http/, "ws"), PROTOCOL, {
        opened() {
          open = true;
          send({ op: "auth", token, ...(from === null ? { snapshot: "active" } : { cursor: from }) });
        },
        message: (text) => scope.over || ear.message(text),
        closed: (code) => end(endingOfCode(code, ear.problem())),
      });
    } catch (error) {
      end({ kind: "failed", why: wordsOf(error) });
    }
  });
}

export const websocket: Transport = { name: "websocket", mode: "live", stream: true, fits: (platform) => platform.socket !== undefined, run };
