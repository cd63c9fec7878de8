import type { Platform } from "./platform.js";
import type { Scope } from "./scope.js";
import type { Tokens } from "./tokens.js";
import type { Ending, Page, Transport } from "./transport.js";
import type { Timing } from "./types.js";
/** What every run is connected to. */
export interface Wiring {
    readonly platform: Platform;
    readonly timing: Timing;
    readonly tokens: Tokens;
    /** The address of a path. */
    url(path: string): string;
    cursor(): string | null;
    page(page: Page): void;
}
export interface Run {
    readonly transport: Transport;
    readonly scope: Scope;
    /** When it said hello; null: not yet. */
    readonly since: number | null;
    /** Whether it said hello, once that is known. */
    readonly greeted: Promise<boolean>;
    readonly done: Promise<Ending>;
    /** Ends it as broken. */
    fail(why: string): void;
    /** Ends it if it has been silent for too long. */
    check(): void;
}
/** What a run asks whoever launched it. may: whether its pages are wanted. */
export interface Hooks {
    greeted(run: Run): void;
    may(run: Run): boolean;
}
/** Starts a transport. */
export declare function launch(w: Wiring, transport: Transport, outer: Scope, hooks: Hooks): Run;
