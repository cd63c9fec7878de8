/**
 * Tocsin's client for mini-programs: WeChat's by itself, Alipay's and others' by
 * injection.
 *
 * @packageDocumentation
 */
import "./library.js";
import { openInbox } from "../../client/src/inbox.js";
import { longpoll } from "../../client/src/longpoll.js";
import { poll } from "../../client/src/poll.js";
import type { Inbox, InboxOptions } from "../../client/src/types.js";
import { websocket } from "../../client/src/ws.js";
import type { MiniApi } from "./api.js";
import { keepOf, miniprogram } from "./platform.js";
import { complete, watchCursor } from "./whole.js";

declare const wx: MiniApi;

/** The options of the client without those that make no sense here; `url` is required. */
export type MiniOptions = Omit<InboxOptions, "url" | "share" | "platform"> & { readonly url: string };

/** The transports a mini-program can use, the best first. */
export const TRANSPORTS = [websocket, longpoll, poll] as const;

/**
 * Opens an inbox. The cursor is kept in the mini-program's storage, unless `storage` is
 * another, or null; a start that finds one tells only what came since, and lists all
 * that is open all the same.
 */
export function createInbox(options: MiniOptions, api: MiniApi = wx): Inbox {
  const storage = options.storage === undefined ? keepOf(api) : options.storage;
  if (storage === null) return openInbox(miniprogram(api), { ...options, storage }, TRANSPORTS);
  const keep = watchCursor(storage);
  return complete(openInbox(miniprogram(api), { ...options, storage: keep }, TRANSPORTS), () => keep.found() && options.cursor === undefined);
}

export { alipay } from "./alipay.js";
export type { AlipayApi, AlipaySocketTask } from "./alipay.js";
export type { MiniApi } from "./api.js";
export { DEFAULTS } from "../../client/src/inbox.js";
export { InboxError } from "../../client/src/http.js";
export type * from "../../client/src/types.js";
