// Do server-sent events come, at once and one by one, and does the stream stay?
import { addressOf, bearer, fromBetween, milliseconds, pause, refused, type Finding, type Probe, type Surroundings } from "./finding";
import { t } from "./words";

const bufferAdvice = t("A proxy in between has to pass on what comes, at once. In nginx: proxy_buffering off; and proxy_http_version 1.1;");

/** How much padding the server offers, for proxies that wait for a full buffer. */
const padding = 8192;

interface Heard {
  readonly event: string;
  readonly at: number;
}

interface Stream {
  /** Resolves with null when the answer has begun as a stream, or with what came instead. */
  readonly begun: Promise<Finding | null>;
  readonly heard: readonly Heard[];
  /** The first event of this name, or null after so long or at the end. */
  wait(event: string, within: number): Promise<Heard | null>;
  /** Resolves at the end, with why. */
  readonly ended: Promise<"bye" | "cut" | "closed">;
  close(): void;
}

/** Reads a stream of events until it is closed. */
function open(around: Surroundings, query: string, told: (event: string) => void): Stream {
  const over = new AbortController();
  const heard: Heard[] = [];
  const waiting = new Set<() => void>();
  const close = (): void => over.abort();
  around.signal.addEventListener("abort", close, { once: true });
  const answer = fetch(addressOf(around, query), { headers: { ...bearer(around), Accept: "text/event-stream" }, cache: "no-store", signal: over.signal });

  async function look(): Promise<Finding | null> {
    const found = await answer.catch(() => null);
    if (!found) return over.signal.aborted ? null : { health: "bad", words: t("There is no answer: the connection is refused or cut."), advice: "", facts: [] };
    if (found.status === 406) return { health: "bad", words: t("A proxy in between speaks HTTP/1.0, which cannot carry a stream."), advice: t("In nginx: proxy_http_version 1.1;"), facts: [] };
    if (!found.ok) return { health: "bad", words: fromBetween(found.status) ? t("Something in between answers in the server's place: {why}.", { why: await refused(found) }) : t("The server refuses it: {why}.", { why: await refused(found) }), advice: "", facts: [] };
    if (!(found.headers.get("Content-Type") ?? "").startsWith("text/event-stream")) return { health: "bad", words: t("What comes is no stream of events: something in between answers in the server's place."), advice: "", facts: [] };
    return null;
  }

  function take(block: string): void {
    const event = /^event: *(.*)$/m.exec(block)?.[1] ?? (/^data:/m.test(block) ? "entries" : "");
    if (event === "") return;
    heard.push({ event, at: around.now() });
    told(event);
    for (const each of [...waiting]) each();
  }

  async function read(): Promise<"bye" | "cut" | "closed"> {
    const end = (): "bye" | "cut" | "closed" => (over.signal.aborted ? "closed" : heard.some((one) => one.event === "bye") ? "bye" : "cut");
    try {
      const reader = (await answer).body?.pipeThrough(new TextDecoderStream()).getReader();
      for (let text = ""; reader; ) {
        const part = await reader.read();
        if (part.done) break;
        const blocks = (text + part.value).split("\n\n");
        text = blocks.pop() ?? "";
        for (const block of blocks) take(block);
      }
    } catch {
      // The end says the rest.
    }
    for (const each of [...waiting]) each();
    return end();
  }

  const ended = read();
  const wait = (event: string, within: number): Promise<Heard | null> => new Promise((done) => {
    let finished = false;
    const check = (): void => {
      const found = heard.find((one) => one.event === event);
      if (found || finished) finish(found ?? null);
    };
    const finish = (found: Heard | null): void => {
      clearTimeout(timer);
      waiting.delete(check);
      done(found);
    };
    const timer = setTimeout(() => finish(null), within);
    waiting.add(check);
    void ended.then(() => {
      finished = true;
      check();
    });
    check();
  });
  return { begun: look(), heard, wait, ended, close };
}

export const probeSSE: Probe = async (around) => {
  const stream = open(around, "?cursor=latest", (event) => around.mark(t(event)));
  try {
    const hello = await stream.wait("hello", around.mute);
    if (!hello) {
      const instead = await Promise.race([stream.begun, pause(50, around.signal).then(() => null)]);
      return instead ?? (await buffered(stream, around));
    }
    return await watch(stream, hello, around);
  } finally {
    stream.close();
  }
};

/** Nothing came in time: does it come with padding, and does it come at all? */
async function buffered(stream: Stream, around: Surroundings): Promise<Finding> {
  around.mark(t("silence"), true);
  const padded = open(around, `?cursor=latest&pad=${padding}`, () => undefined);
  try {
    const began = around.now();
    const helped = await padded.wait("hello", around.mute);
    if (helped) {
      return {
        health: "warn", advice: bufferAdvice, facts: [[t("With padding, first word after"), milliseconds(helped.at - began)]],
        words: t("A proxy in between waits until its buffer is full. Padding fills it at first, but later alarms may be late."),
      };
    }
  } finally {
    padded.close();
  }
  const late = await stream.wait("hello", around.watch);
  return {
    health: "bad", advice: bufferAdvice,
    facts: [[t("First word after"), late ? milliseconds(late.at) : t("nothing in {time}", { time: milliseconds(around.now()) })]],
    words: late
      ? t("It is buffered: what the server says at once arrives after {time}, together.", { time: milliseconds(late.at) })
      : t("It is buffered: the request is taken, but nothing of what the server says arrives."),
  };
}

async function watch(stream: Stream, hello: Heard, around: Surroundings): Promise<Finding> {
  const facts: [string, string][] = [[t("First word after"), milliseconds(hello.at)]];
  const from = around.now();
  const end = await Promise.race([stream.ended, pause(around.watch, around.signal).then(() => null)]);
  const lived = around.now() - from;
  const ping = (around.offered.ping_seconds ?? 20) * 1000;
  const pings = stream.heard.filter((one) => one.event === "ping");
  if (pings.length > 0) facts.push([t("Pings"), String(pings.length)]);
  if (end === "cut") {
    around.mark(t("cut"), true);
    facts.push([t("Cut after"), milliseconds(lived)]);
    return {
      health: "warn", facts,
      words: t("It works, but is cut after {time}. Clients come back by themselves and lose nothing, yet are late each time.", { time: milliseconds(lived) }),
      advice: t("Something in between ends connections that it takes for idle. Let it wait for more than 45 s; in nginx: proxy_read_timeout 75s;"),
    };
  }
  facts.push([t("Stayed open for"), milliseconds(lived)]);
  // Pings come every so often, ± 10 %, while nothing else is said.
  const spoken = stream.heard.length > 1;
  if (!spoken && lived > ping * 1.1 + 3000) {
    around.mark(t("silence"), true);
    return { health: "bad", words: t("It begins well, but what comes later is held back: a proxy in between buffers."), advice: bufferAdvice, facts };
  }
  const bunched = pings.some((one, i) => i > 0 && one.at - (pings[i - 1]?.at ?? 0) < ping * 0.3);
  if (bunched) return { health: "warn", words: t("Events arrive late and in bunches: a proxy in between collects them."), advice: bufferAdvice, facts };
  if (!spoken) facts.push([t("Not seen"), t("whether later events are held back: watch for more than {n} s", { n: Math.ceil(ping * 1.1 / 1000) + 3 })]);
  return { health: "good", words: t("Events come at once, and the stream stays open."), advice: "", facts };
}
