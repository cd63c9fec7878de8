import type { Platform } from "./platform.js";
import type { Transport } from "./transport.js";
import type { Inbox, InboxOptions, Timing } from "./types.js";
/** The times that hold where the caller names no others. */
export declare const DEFAULTS: Timing;
/** Opens an inbox in any surroundings, with any list of transports, the best first. */
export declare function openInbox(platform: Platform, options: InboxOptions, transports: readonly Transport[]): Inbox;
