// One examination: the clock, every transport, and which of them is best.
import { readClock, type Clock } from "./clock";
import type { Finding, Mark, Offered, Probe } from "./finding";
import { probeLongPoll, probePage, probePoll } from "./probe-poll";
import { probeSSE } from "./probe-sse";
import { probeWebSocket } from "./probe-websocket";
import { t } from "./words";

const probes: Readonly<Record<string, Probe>> = { websocket: probeWebSocket, sse: probeSSE, longpoll: probeLongPoll, poll: probePoll, page: probePage };

/** Those that ask and are answered at once; the others are watched, all at a time. */
const brief = new Set(["poll", "page"]);

/** A difference that tokens do not bear any more, in milliseconds. */
export const allowedSkew = 5000;

const mute = 5000;

export interface Examined {
  readonly name: string;
  readonly marks: readonly Mark[];
  /** Null while it is being examined. */
  readonly finding: Finding | null;
}

export interface Examination {
  readonly clock: Clock | null;
  readonly transports: readonly Examined[];
  /** The best of those that work, null for none. */
  readonly best: Examined | null;
}

/** The first that is good, in the server's order; else the first that works at all. */
export function bestOf(all: readonly Examined[]): Examined | null {
  return all.find((one) => one.finding?.health === "good") ?? all.find((one) => one.finding?.health === "warn") ?? null;
}

/** Examines every transport, and tells of each change. `watch` is in milliseconds. Throws where the server does not answer at all. */
export async function examine(root: URL, token: string, watch: number, signal: AbortSignal, tell: (now: Examination) => void): Promise<Examination> {
  const list = new URL("v1/transports", root);
  const answer = await fetch(list, { cache: "no-store", signal });
  const { transports: offered } = (await answer.json()) as { transports: readonly Offered[] };
  const known = offered.filter((one) => one.name in probes);
  const state = known.map((one) => ({ name: one.name, marks: [] as Mark[], finding: null as Finding | null }));
  let clock: Clock | null = null;
  const now = (): Examination => ({ clock, transports: state, best: bestOf(state) });
  tell(now());
  clock = await readClock(list, signal);
  tell(now());

  const one = async (i: number): Promise<void> => {
    const [offer, mine] = [known[i], state[i]];
    const probe = offer && probes[offer.name];
    if (!offer || !mine || !probe) return;
    const began = performance.now();
    const since = (): number => performance.now() - began;
    mine.finding = await probe({
      root, token, offered: offer, watch, mute: Math.min(mute, watch), signal, now: since,
      mark(what, bad = false) {
        // Of what comes one after the other, some are enough for a picture.
        const last = mine.marks.at(-1);
        if (last?.what === what && since() - last.at < watch / 40) return;
        mine.marks.push({ at: since(), what, bad });
        tell(now());
      },
    }).catch((error: unknown): Finding => ({ health: "bad", words: t("It could not be examined: {why}.", { why: String(error) }), advice: "", facts: [] }));
    tell(now());
  };
  const indices = known.map((_one, i) => i);
  const isBrief = (i: number): boolean => brief.has(known[i]?.name ?? "");
  for (const i of indices.filter(isBrief)) await one(i);
  await Promise.all(indices.filter((i) => !isBrief(i)).map(one));
  return now();
}
