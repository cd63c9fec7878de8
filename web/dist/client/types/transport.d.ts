import type { Ask, Answer, Platform } from "./platform.js";
import type { Scope } from "./scope.js";
import type { Counts, Entry, Gap, Problem, Timing, TransportName } from "./types.js";
/** One way. Add one by a file and a line in the list that the client is opened with. */
export interface Transport {
    readonly name: TransportName;
    /** live: entries come as they happen. polling: at every poll. */
    readonly mode: "live" | "polling";
    /** A stream must say hello soon (Timing.hello), else it is mute; others are as slow as the network is. */
    readonly stream: boolean;
    /** Whether the platform has what this needs. */
    fits(platform: Platform): boolean;
    /**
     * Delivers until it cannot, or the session's scope ends; then it resolves, always,
     * and tells nothing any more. It says hello first. It never waits to try again.
     */
    run(session: Session): Promise<Ending>;
}
/** What a transport works with. */
export interface Session {
    readonly platform: Platform;
    readonly timing: Timing;
    /** Ends the run. */
    readonly scope: Scope;
    /** The cursor to go on from, as it is now; null: begin with a snapshot. */
    cursor(): string | null;
    /** A token that is good; it may have to be fetched. */
    token(): Promise<string>;
    /** Calls act with every newer token, until the scope ends; for connections that can take one in place. */
    onToken(act: (token: string) => void): void;
    /** Asks the server with the token; path begins with /v1. With wait, seconds, it has so much longer. */
    ask(ask: Omit<Ask, "url"> & {
        readonly path: string;
        readonly wait?: number;
    }): Promise<Answer>;
    /** The address of a path. */
    url(path: string): string;
    readonly tell: Tell;
}
/** What a transport tells. Each of them is a sign of life. */
export interface Tell {
    /** It works. ping: the server says something at least so often, in seconds; 0: it is not expected to. */
    hello(ping: number): void;
    /** Something came, and be it a ping. */
    heard(): void;
    /** A page, applied as a whole. */
    page(page: Page): void;
}
/** What came together. The gap is before the entries; the cursor is after them. */
export interface Page {
    readonly gap?: Gap | null;
    readonly entries: readonly Entry[];
    /** Absent: the cursor stays. */
    readonly cursor?: string | null;
    /** Absent: the counters stay. stale: the server has lost touch with its log. */
    readonly counts?: Counts & {
        readonly stale?: boolean;
    };
}
/**
 * Why a run has ended. `failed`: it did not get through, or broke; `over`: its scope
 * ended. `bye`: the server's last word, come back after `retry` ms. `later`: the
 * server answers, but not with entries now (429, 503). `token`: another token is
 * needed. `cursor`: the server cannot read the cursor. `refused`, `superseded`: do not
 * come back.
 */
export type Ending = {
    readonly kind: "over" | "superseded" | "cursor";
} | {
    readonly kind: "failed";
    readonly why: string;
} | {
    readonly kind: "bye";
    readonly reason: string;
    readonly retry: number;
} | {
    readonly kind: "later";
    readonly problem: Problem;
    readonly retry: number;
} | {
    readonly kind: "token" | "refused";
    readonly problem: Problem;
};
