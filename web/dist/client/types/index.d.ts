import type { Inbox, InboxOptions } from "./types.js";
/** All transports there are, the best first, for where the server does not say. */
export declare const TRANSPORTS: readonly [import("./transport.js").Transport, import("./transport.js").Transport, import("./transport.js").Transport, import("./transport.js").Transport];
/** Opens an inbox, and keeps it current until it is closed. */
export declare function createInbox(options: InboxOptions): Inbox;
export { DEFAULTS } from "./inbox.js";
export { InboxError } from "./http.js";
export type * from "./types.js";
export type { Answer, Ask, Head, Platform, Sign, Socket, SocketEvents, Tabs } from "./platform.js";
export type { Scope } from "./scope.js";
