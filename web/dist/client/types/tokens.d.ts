import type { Platform } from "./platform.js";
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
/** Reads the claims of a token; one that is no JWT has none. */
export declare function claimsOf(token: string): Claims;
export declare function createTokens(platform: Platform, options: Pick<InboxOptions, "token" | "getToken">, timing: Timing): Tokens;
/** Whose inbox a token opens, for what tabs share; null: it does not say. */
export declare function keyOf(token: string): string | null;
