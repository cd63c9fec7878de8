// Tokens: one at a time, fetched when it is needed, before it ends, and when it was
// not accepted. The server decides what a token is worth; its claims are read here
// only to know when to ask for the next and whose inbox this is.
import { isRecord, parse, within } from "./http.js";
import type { Platform } from "./platform.js";
import { createScope } from "./scope.js";
import type { InboxOptions, Timing } from "./types.js";

/** What a token says of itself, as far as it says it. */
export interface Claims {
  readonly sub: string | null;
  /** Milliseconds since 1970. */
  readonly exp: number | null;
  readonly groups: readonly unknown[];
}

export interface Tokens {
  /** The token; rejects when it cannot be had. */
  get(): Promise<string>;
  /** The present one was not accepted. False: there will be no better one. */
  refused(): boolean;
  /** One was accepted. */
  accepted(): void;
  /** Calls act with every newer one; the returned function ends that. */
  onFresh(act: (token: string) => void): () => void;
  close(): void;
}

/** Before its end by so much, at most, a token is replaced. */
const MARGIN = 30_000;
/** With less left than this, it is not tried again: the server will say when it is over. */
const LEAST = 1000;
/** Timers of browsers overflow beyond it. */
const LONGEST = 2 ** 31 - 1;
/** A server that takes none of so many in a row will not take the next. */
const REFUSALS = 2;

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** Base64 as tokens have it, of UTF-8; mini-programs have no atob. */
function decode(text: string): string {
  let bits = 0;
  let held = 0;
  let escaped = "";
  for (const char of text) {
    const at = ALPHABET.indexOf(char);
    if (at < 0) break;
    held = ((held << 6) | at) & 0xffff;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    escaped += `%${((held >> bits) & 0xff).toString(16).padStart(2, "0")}`;
  }
  return decodeURIComponent(escaped);
}

/** Reads the claims of a token; one that is no JWT has none. */
export function claimsOf(token: string): Claims {
  let claims: Readonly<Record<string, unknown>> = {};
  try {
    claims = parse(decode(token.split(".")[1] ?? ""));
  } catch {
    // Not for us to read.
  }
  const { sub, exp, groups } = claims;
  return {
    sub: typeof sub === "string" ? sub : null,
    exp: typeof exp === "number" ? exp * 1000 : null,
    groups: Array.isArray(groups) ? groups : [],
  };
}

export function createTokens(platform: Platform, options: Pick<InboxOptions, "token" | "getToken">, timing: Timing): Tokens {
  const { getToken } = options;
  const scope = createScope();
  const heard = new Set<(token: string) => void>();
  let current = options.token ?? null;
  let refusals = 0;
  let due = Infinity;
  let fetching: Promise<string> | null = null;
  let stop = () => {};

  /** Arranges for the next; a clock that says it has ended already is not believed, the server says so. */
  function plan(token: string): void {
    const exp = claimsOf(token).exp;
    const left = exp === null || !getToken ? 0 : exp - platform.now();
    stop();
    due = left > LEAST ? platform.now() + left - Math.min(MARGIN, left / 5) : Infinity;
    if (left > LEAST) stop = platform.later(Math.min(due - platform.now(), LONGEST), renew);
  }

  function renew(): void {
    due = 0; // timers may be early
    if (current !== null) void get();
  }

  async function fetchOne(): Promise<string> {
    if (!getToken) throw new Error("there is no token");
    const token = await within(platform, scope, timing.request, async () => getToken());
    const fresh = token !== current;
    current = token;
    if (!scope.over) plan(token);
    if (fresh) for (const act of [...heard]) act(token);
    return token;
  }

  function get(): Promise<string> {
    if (current !== null && (platform.now() < due || !getToken)) return Promise.resolve(current);
    fetching ??= fetchOne()
      .catch((error: unknown) => {
        // The present one is good for a while, and the next is asked for within it.
        if (current === null) throw error;
        plan(current);
        return current;
      })
      .finally(() => (fetching = null));
    return fetching;
  }

  if (current !== null) plan(current);
  return {
    get,
    refused() {
      refusals++;
      if (!getToken || refusals >= REFUSALS) {
        refusals = 0;
        return false;
      }
      current = null;
      stop();
      return true;
    },
    accepted: () => void (refusals = 0),
    onFresh(act) {
      heard.add(act);
      return () => void heard.delete(act);
    },
    close() {
      stop();
      scope.end();
    },
  };
}

/** Whose inbox a token opens, for what tabs share; null: it does not say. */
export function keyOf(token: string): string | null {
  const { sub, groups } = claimsOf(token);
  return sub === null ? null : JSON.stringify([sub, ...groups.filter((group) => !isRecord(group))]);
}
