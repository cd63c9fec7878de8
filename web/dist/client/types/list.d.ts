import type { Alarm, Counts, Entry, Notice } from "./types.js";
export interface List {
    /** Takes entries in their order; returns those that are news. */
    apply(entries: readonly Entry[]): readonly Entry[];
    /** Takes the answer to a command, which may be here before the entry that tells everybody. True: it was news. */
    put(alarm: Alarm): boolean;
    /** Forgets what is there, and what was told. */
    empty(): void;
    /** Another list in place of this one; returns what of it is news. */
    replace(entries: readonly Entry[]): readonly Entry[];
    alarms(): readonly Alarm[];
    notices(): readonly Notice[];
    /** The newest entry of everything, in order: what a list is made of elsewhere. */
    entries(): readonly Entry[];
}
export declare function createList(): List;
export declare const NO_COUNTS: Counts;
/** The counters of whatever stands beside them. */
export declare function countsOf({ unread, active, flood }: Counts): Counts;
/** In a flood, lesser alarms make no sound (docs/protocol.md §3). */
export declare function hush(entries: readonly Entry[], counts: Counts): readonly Entry[];
