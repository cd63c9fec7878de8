import type { Scope } from "./scope.js";
import type { Keep } from "./types.js";
/** A request; the body, if any, is JSON. */
export interface Ask {
    readonly method: "GET" | "POST";
    readonly url: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly body?: string;
}
/** The head of an answer. header() does not care for case; null: not there, or not for us to see. */
export interface Head {
    readonly status: number;
    header(name: string): string | null;
}
/** An answer, read to its end. */
export interface Answer extends Head {
    readonly body: string;
}
/** A WebSocket of text frames. */
export interface Socket {
    send(text: string): void;
    /** Ends it; none of its events comes after this. */
    close(): void;
}
/** What a socket tells. closed comes once, and last, whether it ever opened or not. */
export interface SocketEvents {
    opened(): void;
    message(text: string): void;
    /** code is 1006 where no close frame came. */
    closed(code: number): void;
}
/**
 * What happens around the client. `online`: the network is back, or is another one.
 * `offline`: there is none. `shown`: a person looks again, timers may have been late.
 * `sleep`: everything must end until `wake`, since the environment is about to freeze
 * or to cut connections (a mini-program that is hidden).
 */
export type Sign = "online" | "offline" | "shown" | "sleep" | "wake";
/** Tabs of one browser. Names are the same in all tabs that belong together. */
export interface Tabs {
    /**
     * Waits for the lock of this name, which one tab has at a time and loses with its
     * end. granted is called when it is ours, lost if another tab has stolen it. With
     * steal it is taken from whoever has it. The returned function gives it up, or no
     * longer waits.
     */
    lead(name: string, steal: boolean, granted: () => void, lost: () => void): () => void;
    /** Messages to all other tabs, in their order; they are structured clones. */
    channel(name: string, heard: (message: unknown) => void): {
        send(message: unknown): void;
        close(): void;
    };
}
/** The surroundings. What is optional may be missing, and the client goes without it. */
export interface Platform {
    /** One exchange, without cookies or cache. Rejects where no whole answer came, or the scope ended. */
    request(ask: Ask, scope: Scope): Promise<Answer>;
    /**
     * Like request, but the body is told as it comes, as text. head is called first; if
     * it returns false, the body is not wanted. Resolves at the end of the body.
     * Missing: no server-sent events.
     */
    readonly stream?: (ask: Ask, scope: Scope, head: (head: Head) => boolean, piece: (text: string) => void) => Promise<void>;
    /** Opens a WebSocket (ws: or wss:). Missing: none. May throw. */
    readonly socket?: (url: string, protocol: string, on: SocketEvents) => Socket;
    /** Milliseconds since 1970. */
    now(): number;
    /** Calls act after ms milliseconds; the returned function takes that back. */
    later(ms: number, act: () => void): () => void;
    /** From 0 to below 1. */
    random(): number;
    /** Where things are kept if the caller names no storage; null: nowhere. */
    readonly storage: Keep | null;
    /** Where requests go if the caller names no url; null: he must. */
    readonly origin: string | null;
    /** Tells signs until the returned function is called. */
    readonly watch?: (told: (sign: Sign) => void) => () => void;
    /** Missing: every tab has a connection of its own. */
    readonly tabs?: Tabs;
}
