import { type List } from "./list.js";
import type { Platform } from "./platform.js";
import type { Page } from "./transport.js";
import type { Alarm, ConnectionState, Counts, InboxEvents } from "./types.js";
export interface Store {
    readonly cursor: string | null;
    readonly counts: Counts;
    readonly state: ConnectionState;
    readonly list: Pick<List, "alarms" | "notices">;
    on<K extends keyof InboxEvents>(event: K, heard: (told: InboxEvents[K]) => void): () => void;
    tell<K extends keyof InboxEvents>(event: K, told: InboxEvents[K]): void;
    /** Applies what came together, and tells it: gap, entries, change. */
    page(page: Page): void;
    /** The list of another tab in place of one's own. */
    replace(page: Page): void;
    /** The whole list as one page. */
    whole(): Page;
    /** What answers to commands say, ahead of the entries. */
    alarms(alarms: readonly Alarm[]): void;
    counted(counts: Counts): void;
    become(state: ConnectionState): void;
    /** Begins at another cursor. */
    start(cursor: string | null): void;
    /** Forgets everything, to begin anew. */
    empty(): void;
}
/** Opens a store that begins at a cursor, or at none. */
export declare function createStore(platform: Platform, from: string | null): Store;
