import type { Answer, Platform } from "./platform.js";
import type { Scope } from "./scope.js";
import type { Ending } from "./transport.js";
import type { Problem, Timing } from "./types.js";
/** The name under which a WebSocket speaks the native protocol. */
export declare const PROTOCOL = "tocsin.v1.json";
/** What is thrown where a command failed; a problem without status is the way there, not the server. */
export declare class InboxError extends Error {
    readonly problem: Problem;
    readonly name = "InboxError";
    constructor(problem: Problem);
}
/** A record of whatever JSON the text is; empty if it is none. */
export declare function parse(text: string): Readonly<Record<string, unknown>>;
export declare function isRecord(value: unknown): value is Readonly<Record<string, unknown>>;
/** What went wrong, in words. */
export declare function wordsOf(error: unknown): string;
/** The way to the server as a problem. */
export declare function noAnswer(why: string): Problem;
/** The problem that an answer is; of others' answers (a proxy's, a portal's) only the status is taken. */
export declare function problemOf(answer: Answer): Problem;
/** What an answer other than 200 and 304 means to a transport. */
export declare function endingOf(answer: Answer): Ending;
/** What the server's last word on a stream means. */
export declare function endingOfBye(reason: string, retry: unknown): Ending;
/** Gives work so many milliseconds, and a scope that ends with them, with the outer one, or when it is done. */
export declare function within<T>(platform: Platform, outer: Scope, ms: number, work: (scope: Scope) => Promise<T>): Promise<T>;
/** How long to wait after so many failures: full jitter, so that clients do not come back together. */
export declare function backOff(platform: Platform, timing: Timing, failures: number): number;
/** Waits; resolves early when the scope ends. */
export declare function pause(platform: Platform, scope: Scope, ms: number): Promise<void>;
