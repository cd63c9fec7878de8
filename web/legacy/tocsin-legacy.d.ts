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
  alarms(): Alarm[];
  notices(): Notice[];
  ack(ids: string | readonly string[], note?: string, done?: (problem: Problem | null, results: AckResult[]) => void): void;
  read(ids?: string | readonly string[] | null, done?: (problem: Problem | null, counts: Counts) => void): void;
  use(transports?: readonly TransportName[]): void;
  connect(): void;
  close(): void;
}

declare global {
  interface Window {
    readonly tocsin: { createInbox(options: LegacyOptions): LegacyInbox };
  }
}
