// Requests, and what their answers mean (docs/protocol.md §10).
import type { Answer, Platform } from "./platform.js";
import type { Scope } from "./scope.js";
import type { Ending } from "./transport.js";
import type { Problem, Timing } from "./types.js";

/** The name under which a WebSocket speaks the native protocol. */
export const PROTOCOL = "tocsin.v1.json";

/** What is thrown where a command failed; a problem without status is the way there, not the server. */
export class InboxError extends Error {
  override readonly name = "InboxError";
  constructor(readonly problem: Problem) {
    super(problem.detail ?? problem.title);
  }
}

/** A record of whatever JSON the text is; empty if it is none. */
export function parse(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : {};
  } catch {
    return {};
  }
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

/** What went wrong, in words. */
export function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The way to the server as a problem. */
export function noAnswer(why: string): Problem {
  return { type: "about:blank", title: "No answer from the server", status: 0, detail: why };
}

/** The problem that an answer is; of others' answers (a proxy's, a portal's) only the status is taken. */
export function problemOf(answer: Answer): Problem {
  const body = parse(answer.body);
  if (typeof body["type"] === "string" && typeof body["title"] === "string") return body as unknown as Problem;
  return { type: "about:blank", title: `Status ${answer.status}`, status: answer.status };
}

/** Whether the answer is the server's own, and not that of something in between. */
const ours = (problem: Problem) => problem.type.startsWith("/problems/");

/** What an answer other than 200 and 304 means to a transport. */
export function endingOf(answer: Answer): Ending {
  const problem = problemOf(answer);
  const retry = Number(answer.header("Retry-After")) * 1000 || 0;
  if (answer.status === 429 || answer.status === 503) return { kind: "later", problem, retry };
  if (!ours(problem)) return { kind: "failed", why: problem.title };
  if (answer.status === 401) return { kind: "token", problem };
  if (answer.status === 403) return { kind: "refused", problem };
  if (answer.status === 400) return { kind: "cursor" };
  return { kind: "failed", why: problem.title };
}

/** What the server's last word on a stream means. */
export function endingOfBye(reason: string, retry: unknown): Ending {
  if (reason === "superseded") return { kind: "superseded" };
  if (reason === "expired" || reason === "revoked") {
    return { kind: "token", problem: { type: "/problems/expired-token", title: `The token is ${reason}`, status: 401 } };
  }
  return { kind: "bye", reason, retry: Number(retry) || 0 };
}

/** Gives work so many milliseconds, and a scope that ends with them, with the outer one, or when it is done. */
export async function within<T>(platform: Platform, outer: Scope, ms: number, work: (scope: Scope) => Promise<T>): Promise<T> {
  const scope = outer.child();
  let why = "it is over";
  const stop = platform.later(ms, () => {
    why = `no answer in ${ms / 1000} s`;
    scope.end();
  });
  try {
    return await new Promise<T>((resolve, reject) => {
      scope.onEnd(() => reject(new Error(why)));
      work(scope).then(resolve, reject);
    });
  } finally {
    stop();
    scope.end();
  }
}

/** How long to wait after so many failures: full jitter, so that clients do not come back together. */
export function backOff(platform: Platform, timing: Timing, failures: number): number {
  return platform.random() * Math.min(timing.retryMost, timing.retryFirst * 2 ** Math.min(failures, 30));
}

/** Waits; resolves early when the scope ends. */
export function pause(platform: Platform, scope: Scope, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      stop();
      off();
      resolve();
    };
    const stop = platform.later(ms, done);
    const off = scope.onEnd(() => done());
  });
}
