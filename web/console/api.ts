// The server's API, asked with the user's token (docs/protocol.md §9).
import type { Problem } from "../client/src/types";

/** A request that did not do what it should. `problem` is null where no answer came. */
export type Refusal = Error & { readonly problem: Problem | null };

export function refusal(message: string, problem: Problem | null): Refusal {
  return Object.assign(new Error(message), { problem });
}

export function isRefusal(error: unknown): error is Refusal {
  return error instanceof Error && "problem" in error;
}

export interface Api {
  /** Asks, and returns the answer's JSON; undefined where it has none. Throws a Refusal. */
  ask(method: string, path: string, body?: unknown, type?: string): Promise<unknown>;
  readonly token: string;
}

/** The root of the server's paths, wherever a proxy has put them. */
export const root = new URL(".", location.href);

const patience = 20_000;

export function createApi(token: string, expired: () => void): Api {
  async function ask(method: string, path: string, body?: unknown, type = "application/json"): Promise<unknown> {
    let answer: Response;
    try {
      answer = await fetch(new URL(path, root), {
        method,
        cache: "no-store",
        signal: AbortSignal.timeout(type === "application/json" ? patience : 10 * patience),
        headers: { Authorization: `Bearer ${token}`, ...(body === undefined ? {} : { "Content-Type": type }) },
        ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
      });
    } catch {
      throw refusal("The server does not answer", null);
    }
    const text = await answer.text();
    const json = parsed(text);
    if (answer.ok) return json;
    const problem = (json ?? { type: "", title: answer.statusText || `Status ${answer.status}`, status: answer.status }) as Problem;
    if (answer.status === 401) expired();
    throw refusal(problem.detail ? `${problem.title}: ${problem.detail}` : problem.title, problem);
  }
  return { ask, token };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A path with parameters; those that are empty are left out. */
export function withQuery(path: string, query: Readonly<Record<string, string | number | undefined>>): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== "") params.set(name, String(value));
  }
  return params.size ? `${path}?${params}` : path;
}

/** A name as a part of a path. */
export const part = (name: string): string => encodeURIComponent(name);

/** What went wrong, in words. */
export const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
