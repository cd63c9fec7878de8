import type { Wiring } from "./run.js";
import type { Scope } from "./scope.js";
import type { Alarm, Counts, Inbox, Problem } from "./types.js";
export type Commands = Pick<Inbox, "read" | "ack" | "unack" | "clear" | "shelve" | "unshelve" | "comment" | "query" | "history">;
export interface CommandOptions extends Pick<Wiring, "platform" | "timing" | "tokens" | "url" | "cursor"> {
    readonly scope: Scope;
    /** Hears what is known of alarms and counters from the answers. */
    alarms(alarms: readonly Alarm[]): void;
    counts(counts: Counts): void;
    problem(problem: Problem): void;
}
export declare function createCommands(o: CommandOptions): Commands;
