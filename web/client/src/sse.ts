// The inbox as server-sent events (docs/protocol.md §5), read by fetch, which can send
// the token in a header, and sees the end of a stream.
import { endingOfBye, parse, wordsOf } from "./http.js";
import type { Ending, Page, Session, Transport } from "./transport.js";
import type { Counts, Entry, Gap } from "./types.js";

export interface ServerEvent {
  readonly type: string;
  readonly data: string;
  readonly id: string | null;
}

/** Calls each with the events of a stream that comes in pieces. */
export function createParser(each: (event: ServerEvent) => void): (piece: string) => void {
  let rest = "";
  let type = "";
  let data: string[] = [];
  let id: string | null = null;

  function line(text: string): void {
    if (text === "") {
      if (data.length > 0) each({ type: type || "message", data: data.join("\n"), id });
      type = "";
      data = [];
      id = null;
      return;
    }
    const colon = text.indexOf(":");
    const name = colon < 0 ? text : text.slice(0, colon); // of a comment: empty
    const value = colon < 0 ? "" : text.slice(colon + (text[colon + 1] === " " ? 2 : 1));
    if (name === "data") data.push(value);
    else if (name === "event") type = value;
    else if (name === "id") id = value;
  }

  return (piece) => {
    rest += piece;
    // A CR at the end may be half of a CRLF, so it waits for the next piece.
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? "";
    lines.forEach(line);
  };
}

interface Held {
  gap?: Gap;
  entries: Entry[];
  cursor?: string;
  counts?: Counts;
}

/** Takes events; what comes in one piece is told as one page. A gap waits for what repairs it. */
function gather(session: Session, end: (ending: Ending) => void) {
  let held: Held = { entries: [] };

  function flush(): void {
    const { gap, ...rest } = held;
    const repaired = held.cursor !== undefined;
    held = gap && !repaired ? { gap, entries: [] } : { entries: [] };
    if (rest.entries.length > 0 || repaired || rest.counts) session.tell.page(gap && repaired ? { gap, ...rest } : (rest satisfies Page));
  }

  const on: Readonly<Record<string, (data: Readonly<Record<string, unknown>>) => void>> = {
    hello(data) {
      session.tell.hello(Number(data["ping"]) || 0);
      held.counts = data as unknown as Counts;
    },
    message: (data) => void held.entries.push(data as unknown as Entry),
    counts: (data) => void (held.counts = data as unknown as Counts),
    gap(data) {
      flush();
      held.gap = data as unknown as Gap;
    },
    bye: (data) => end(endingOfBye(String(data["reason"]), data["retry_ms"])),
  };

  function event({ type, data, id }: ServerEvent): void {
    if (!Object.hasOwn(on, type) && id === null) return;
    on[type]?.(parse(data));
    if (id !== null) held.cursor = id;
  }
  return { event, flush };
}

async function run(session: Session): Promise<Ending> {
  const { platform } = session;
  const scope = session.scope.child();
  let ending: Ending | null = null;
  const end = (how: Ending) => {
    ending ??= how;
    scope.end();
  };
  const { event, flush } = gather(session, end);
  const parser = createParser(event);
  try {
    if (!platform.stream) return { kind: "over" };
    const from = session.cursor();
    const query = from === null ? "snapshot=active" : `cursor=${encodeURIComponent(from)}`;
    const headers = { Accept: "text/event-stream", Authorization: `Bearer ${await session.token()}` };
    await platform.stream(
      { method: "GET", url: session.url(`/v1/inbox/sse?${query}`), headers }, scope,
      (head) => {
        const good = head.status === 200 && (head.header("Content-Type") ?? "").startsWith("text/event-stream");
        if (!good) ending = { kind: "failed", why: `no stream (${head.status})` };
        return good;
      },
      (piece) => {
        if (scope.over) return;
        session.tell.heard();
        parser(piece);
        flush();
      },
    );
  } catch (error) {
    ending ??= { kind: "failed", why: wordsOf(error) };
  } finally {
    scope.end();
  }
  return session.scope.over ? { kind: "over" } : (ending ?? { kind: "failed", why: "the stream ended" });
}

export const sse: Transport = { name: "sse", mode: "live", stream: true, fits: (platform) => platform.stream !== undefined, run };
