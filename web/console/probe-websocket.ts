// Does a WebSocket open, does it speak, and does it stay?
import { addressOf, bearer, milliseconds, pause, refused, type Finding, type Probe, type Surroundings } from "./finding";
import { t } from "./words";

const upgradeAdvice = t("A proxy in between has to let the upgrade through. In nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\";");

interface Message {
  readonly op?: string;
  readonly ref?: unknown;
  readonly reason?: string;
  readonly problem?: { readonly title?: string };
}

/** A socket whose course can be waited for. */
function createSocket(url: URL, subprotocol: string) {
  const socket = new WebSocket(url, subprotocol);
  const heard: ((message: Message) => void)[] = [];
  let over: CloseEvent | null = null;
  const opened = new Promise<boolean>((done) => {
    socket.onopen = () => done(true);
    socket.addEventListener("close", () => done(false));
  });
  const closed = new Promise<CloseEvent>((done) => socket.addEventListener("close", (event) => {
    over = event;
    done(event);
  }));
  socket.onmessage = (event) => {
    const message = parsed(String(event.data));
    for (const each of [...heard]) each(message);
  };
  /** The next message that fits, or null after so long or at the end. */
  function wait(fits: (message: Message) => boolean, within: number): Promise<Message | null> {
    return new Promise((done) => {
      const end = (message: Message | null): void => {
        clearTimeout(timer);
        const i = heard.indexOf(look);
        if (i >= 0) heard.splice(i, 1);
        done(message);
      };
      const look = (message: Message): void => {
        if (fits(message)) end(message);
      };
      const timer = setTimeout(() => end(null), within);
      heard.push(look);
      void closed.then(() => end(null));
    });
  }
  return { socket, opened, closed, wait, heard, over: () => over, say: (message: unknown) => socket.send(JSON.stringify(message)) };
}

function parsed(text: string): Message {
  try {
    const message: unknown = JSON.parse(text);
    return typeof message === "object" && message !== null ? (message as Message) : {};
  } catch {
    return {};
  }
}

/** Why a socket did not open: the same address asked without an upgrade tells more. */
async function whyNot(around: Surroundings, after: number): Promise<Finding> {
  const facts: [string, string][] = [[t("Refused after"), milliseconds(after)]];
  try {
    const answer = await fetch(addressOf(around), { headers: bearer(around), cache: "no-store", signal: around.signal });
    const says = answer.status === 426 ? t("the server answers (426)") : await refused(answer);
    facts.push([t("Asked without an upgrade"), says]);
    if (answer.status === 401 || answer.status === 403) return { health: "bad", words: t("The server refuses it: {why}.", { why: says }), advice: "", facts };
  } catch {
    facts.push([t("Asked without an upgrade"), t("no answer")]);
  }
  return { health: "bad", words: t("It is blocked: something between this browser and the server refuses the upgrade."), advice: upgradeAdvice, facts };
}

/** The times of a few round trips. */
async function roundTrips(link: ReturnType<typeof createSocket>, around: Surroundings): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < 4; i++) {
    const ref = `doctor-${i}`;
    const sent = around.now();
    const answer = link.wait((message) => message.op === "ok" && message.ref === ref, around.mute);
    link.say({ op: "pong", ref });
    if (await answer) times.push(around.now() - sent);
  }
  return times;
}

export const probeWebSocket: Probe = async (around) => {
  const url = addressOf(around);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const link = createSocket(url, around.offered.subprotocol ?? "tocsin.v1.json");
  const stop = (): void => link.socket.close(1000);
  around.signal.addEventListener("abort", stop, { once: true });
  try {
    const opened = await Promise.race([link.opened, pause(2 * around.mute, around.signal).then(() => false)]);
    if (!opened) {
      around.mark(t("refused"), true);
      return await whyNot(around, around.now());
    }
    const open = around.now();
    around.mark(t("open"));
    return await converse(link, around, [[t("Open after"), milliseconds(open)]]);
  } finally {
    around.signal.removeEventListener("abort", stop);
    stop();
  }
};

async function converse(link: ReturnType<typeof createSocket>, around: Surroundings, facts: [string, string][]): Promise<Finding> {
  const began = around.now();
  const first = link.wait((message) => message.op === "hello" || message.op === "error" || message.op === "bye", around.mute);
  link.say({ op: "auth", token: around.token, cursor: "latest", ref: "doctor" });
  const hello = await first;
  if (hello?.op === "error") return { health: "bad", words: t("The server refuses it: {why}.", { why: hello.problem?.title ?? "" }), advice: "", facts };
  if (hello?.op !== "hello") {
    around.mark(t("silence"), true);
    const words = link.over()
      ? t("It opens, and is cut before the server can say a word.")
      : t("It opens, but nothing comes through it: something in between holds back what is said.");
    return { health: "bad", words, advice: upgradeAdvice, facts };
  }
  around.mark(t("hello"));
  facts.push([t("First word after"), milliseconds(around.now() - began)]);
  const trips = await roundTrips(link, around);
  if (trips.length > 0) facts.push([t("There and back"), milliseconds(Math.min(...trips))]);
  return watch(link, around, facts);
}

async function watch(link: ReturnType<typeof createSocket>, around: Surroundings, facts: [string, string][]): Promise<Finding> {
  const from = around.now();
  let reason = "";
  link.heard.push((message) => {
    if (message.op === "ping" || message.op === "entries") around.mark(t(message.op));
    if (message.op === "bye") reason = message.reason ?? "";
  });
  const end = await Promise.race([link.closed, pause(around.watch, around.signal).then(() => null)]);
  const lived = around.now() - from;
  if (end && reason === "" && !around.signal.aborted) {
    around.mark(t("cut"), true);
    facts.push([t("Cut after"), milliseconds(lived)], [t("Close code"), String(end.code)]);
    return {
      health: "warn", facts,
      words: t("It works, but is cut after {time}. Clients come back by themselves and lose nothing, yet are late each time.", { time: milliseconds(lived) }),
      advice: t("Something in between ends connections that it takes for idle. Let it wait for more than 45 s; in nginx: proxy_read_timeout 75s;"),
    };
  }
  facts.push([t("Stayed open for"), milliseconds(lived)]);
  if (reason) facts.push([t("The server ended it"), reason]);
  return { health: "good", words: t("It opens, speaks at once and stays open."), advice: "", facts };
}
