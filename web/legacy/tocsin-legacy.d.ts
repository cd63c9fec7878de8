// The legacy file in types: it puts `tocsin` into the window.
import type { AckResult, Alarm, ConnectionState, Counts, Entry, Gap, Notice, Problem, Timing, TransportName } from "../client/src/types";

export interface LegacyOptions {
  readonly url?: string;
  readonly token?: string;
  readonly getToken?: (done: (token: string) => void) => void;
  readonly transports?: readonly TransportName[];
  readonly cursor?: string;
  readonly timing?: Partial<Timing>;
  readonly onentries?: (entries: readonly Entry[], inbox: LegacyInbox) => void;
  readonly onchange?: (inbox: LegacyInbox) => void;
  readonly onstate?: (name: ConnectionState["name"], inbox: LegacyInbox) => void;
  readonly ongap?: (gap: Gap, inbox: LegacyInbox) => void;
}

export interface LegacyInbox {
  readonly state: ConnectionState["name"];
  readonly transport: TransportName | "";
  readonly cursor: string;
  readonly counts: Counts;
  /** Why the last poll failed, where the server said so. */
  readonly problem: Problem | null;
  /** Every alarm that is active or unacknowledged, and what ended last; the newest first. */
  alarms(): Alarm[];
  /** Notices since the list began, the newest first. */
  notices(): Notice[];
  /** Acknowledges one or several. */
  ack(ids: string | readonly string[], note?: string, done?: (problem: Problem | null, results: AckResult[]) => void): void;
  /** The other commands. */
  act(id: string, name: "unack" | "clear" | "shelve" | "unshelve" | "comment", body?: { note?: string; until?: string }, done?: (problem: Problem | null, alarm: Alarm) => void): void;
  /** Asks for anything else there is, such as /v1/alarms?state=all. */
  get(path: string, done: (problem: Problem | null, answer: unknown) => void): void;
  /** Marks as read: these, or without any all that was delivered. */
  read(ids?: string | readonly string[] | null, done?: (problem: Problem | null, counts: Counts) => void): void;
  /** Uses these transports from now on; without any, all there are. */
  use(transports?: readonly TransportName[] | null): void;
  /** Begins again after "superseded", "refused" or "closed", or at once while offline. */
  connect(): void;
  close(): void;
}

declare global {
  interface Window {
    readonly tocsin: { createInbox(options: LegacyOptions): LegacyInbox };
  }
}
