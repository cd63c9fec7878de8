// What the doctor finds out about one transport.
import { t } from "./words";

/** good: as it should be. warn: it works, not well. bad: it does not. */
export type Health = "good" | "warn" | "bad";

/** Something that happened, in milliseconds since the examination of the transport began. */
export interface Mark {
  readonly at: number;
  readonly what: string;
  readonly bad?: boolean;
}

export interface Finding {
  readonly health: Health;
  /** What it means, in a sentence. */
  readonly words: string;
  /** What whoever runs the proxy could do; empty for nothing. */
  readonly advice: string;
  readonly facts: readonly (readonly [name: string, value: string])[];
}

/** What GET /v1/transports says of one. */
export interface Offered {
  readonly name: string;
  readonly url: string;
  readonly subprotocol?: string;
  readonly ping_seconds?: number;
  readonly max_wait_seconds?: number;
}

/** What a probe works with. Times are milliseconds. */
export interface Surroundings {
  readonly root: URL;
  readonly token: string;
  readonly offered: Offered;
  /** For how long a silent connection is watched. */
  readonly watch: number;
  /** Without a first word for so long, a stream is mute. */
  readonly mute: number;
  readonly signal: AbortSignal;
  /** Says that something happened. */
  mark(what: string, bad?: boolean): void;
  /** Milliseconds since the examination began. */
  now(): number;
}

export type Probe = (around: Surroundings) => Promise<Finding>;

/** The address of a transport, below where the page is. */
export const addressOf = (around: Surroundings, query = ""): URL => new URL(around.offered.url.replace(/^\//, "") + query, around.root);

export const bearer = (around: Surroundings): Record<string, string> => ({ Authorization: `Bearer ${around.token}` });

export const milliseconds = (value: number): string => (value < 1000 ? t("{n} ms", { n: Math.round(value) }) : t("{n} s", { n: (value / 1000).toFixed(1) }));

/** Waits, unless the examination is over before. */
export function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (signal.aborted) return done();
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      done();
    }, { once: true });
  });
}

/** What an answer says that is not what was asked for. */
export async function refused(answer: Response): Promise<string> {
  const text = await answer.text().catch(() => "");
  try {
    const problem: unknown = JSON.parse(text);
    if (typeof problem === "object" && problem !== null && "title" in problem) {
      const detail = "detail" in problem ? `: ${String(problem.detail)}` : "";
      return `${answer.status} ${String(problem.title)}${detail}`;
    }
  } catch {
    // It is not the gateway's, then.
  }
  return `${answer.status} ${answer.statusText}`.trim();
}

/** A status that only something in between gives. */
export const fromBetween = (status: number): boolean => status === 502 || status === 504 || status === 408 || status === 407;
