/**
 * The client of Tocsin: an inbox that always finds a way.
 *
 * @packageDocumentation
 */
import { browser } from "./browser.js";
import { openInbox } from "./inbox.js";
import { longpoll } from "./longpoll.js";
import { poll } from "./poll.js";
import { sse } from "./sse.js";
import type { Inbox, InboxOptions } from "./types.js";
import { websocket } from "./ws.js";

/** All transports there are, the best first, for where the server does not say. */
export const TRANSPORTS = [websocket, sse, longpoll, poll] as const;

/** Opens an inbox, and keeps it current until it is closed. */
export function createInbox(options: InboxOptions): Inbox {
  return openInbox({ ...browser(), ...options.platform }, options, TRANSPORTS);
}

export { DEFAULTS } from "./inbox.js";
export { InboxError } from "./http.js";
export type * from "./types.js";
export type { Answer, Ask, Head, Platform, Sign, Socket, SocketEvents, Tabs } from "./platform.js";
export type { Scope } from "./scope.js";
