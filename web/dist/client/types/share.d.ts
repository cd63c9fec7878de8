import type { Platform, Tabs } from "./platform.js";
import type { Page } from "./transport.js";
import type { ConnectionState, Timing, TransportName } from "./types.js";
/** What one tab asks of the leader. */
export type Wish = {
    readonly use: readonly TransportName[] | null;
} | {
    readonly connect: true;
};
/** What a tab is told by its share. */
export interface Role {
    /** This tab leads from now on. */
    lead(): void;
    /** Another one does, this one must not. */
    follow(): void;
    /** What a late tab needs: the whole list as one page, and the state. */
    whole(): {
        readonly page: Page;
        readonly state: ConnectionState;
    };
    /** The leader's list in place of one's own. */
    replace(page: Page): void;
    page(page: Page): void;
    state(state: ConnectionState): void;
    wish(wish: Wish): void;
    cursor(): string | null;
}
export interface Share {
    /** Tells the others what has come; from is the cursor before it. Of the leader only. */
    page(from: string | null, page: Page): void;
    state(state: ConnectionState): void;
    wish(wish: Wish): void;
    /** Signs that the leader may be gone: it is asked, and replaced if it does not answer. */
    check(): void;
    close(): void;
}
/** Joins the tabs of this name. */
export declare function createShare(platform: Platform, tabs: Tabs, name: string, timing: Timing, role: Role): Share;
