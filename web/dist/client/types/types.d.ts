import type { Platform } from "./platform.js";
/** Severities, the worst first. */
export type Severity = "critical" | "major" | "minor" | "warning" | "indeterminate";
/** How entries come. The order of a list of them is the order of preference. */
export type TransportName = "websocket" | "sse" | "longpoll" | "poll";
/** One occurrence of an alarm, as docs/protocol.md §3 gives it; times are RFC 3339, UTC. */
export interface Alarm {
    readonly id: string;
    /** Rises with every change: the state with the highest one is the newest. */
    readonly rev: number;
    readonly device: string;
    readonly type: string;
    readonly qualifier: string;
    readonly occurrence: number;
    readonly severity: Severity;
    readonly severity_max: Severity;
    readonly kind: "stateful" | "momentary";
    readonly active: boolean;
    readonly acked: boolean;
    readonly acked_by: string | null;
    readonly acked_at: string | null;
    readonly ack_note?: string;
    readonly count: number;
    readonly groups: readonly string[];
    readonly raised_at: string;
    readonly last_raised_at: string;
    readonly received_at: string;
    readonly cleared_at: string | null;
    readonly clear_reason?: string;
    readonly earlier_unacked?: number;
    readonly shelved_until?: string | null;
    readonly shelved_by?: string | null;
    readonly comments?: number;
    /** Raised so often that its changes are told together. */
    readonly chattering?: boolean;
    readonly message: string;
    readonly attrs: Readonly<Record<string, string>>;
}
/** A message to people that is no alarm. */
export interface Notice {
    readonly id: string;
    readonly from: string;
    readonly title: string;
    readonly body: string;
    readonly data: unknown;
}
/**
 * One change of an alarm, or a notice. `note`: the words of who did it. `quiet`: it came
 * in a flood and makes no sound. Of `alarm.removed`, the alarm has id, rev, device, type
 * and qualifier only.
 */
export type Entry = {
    readonly seq: number;
    readonly type: `alarm.${string}`;
    readonly time: string;
    readonly by: string;
    readonly note?: string;
    readonly alarm: Alarm;
    readonly quiet?: boolean;
} | {
    readonly seq: number;
    readonly type: "notice";
    readonly time: string;
    readonly by: string;
    readonly notice: Notice;
    readonly quiet?: boolean;
};
/** The user's counters: alarms and notices not read, and open alarms by severity. */
export interface Counts {
    readonly unread: number;
    readonly active: Readonly<Partial<Record<Severity, number>>>;
    readonly flood?: {
        readonly since: string;
        readonly quiet: number;
    };
}
/** Why the list could not go on as it was (docs/protocol.md §8). */
export interface Gap {
    readonly reason: "expired" | "epoch" | "membership" | "compacted";
    readonly from: string;
    /** How many entries are lost; null if unknown. */
    readonly lost: number | null;
    readonly repair: "snapshot" | "newest";
}
/** A problem as the server states it (RFC 9457). */
export interface Problem {
    readonly type: string;
    readonly title: string;
    readonly status: number;
    readonly detail?: string;
    readonly instance?: string;
}
/**
 * The connection as a page should show it. `live`: entries come as they happen.
 * `polling`: they come at every poll. `stale`: the server says that it has lost touch
 * with its log. `offline`: nothing gets through, and the client goes on trying.
 * `refused`: the token is not accepted, and the client has stopped.
 * `superseded`: other windows of the user have taken the connections there are.
 */
export type ConnectionState = {
    readonly name: "connecting";
} | {
    readonly name: "live" | "polling";
    readonly transport: TransportName;
    readonly since: number;
    readonly leader: boolean;
} | {
    readonly name: "stale";
    readonly transport: TransportName;
} | {
    readonly name: "offline";
    readonly retryAt: number;
    readonly why: string;
} | {
    readonly name: "refused";
    readonly problem: Problem;
} | {
    readonly name: "superseded" | "closed";
};
/** What an inbox tells, by the event's name. */
export interface InboxEvents {
    /** New entries in order, before `change`. */
    entries: readonly Entry[];
    /** The list or the counters have changed: alarms(), notices() and counts() are new. */
    change: Counts;
    /** Something could not be delivered as asked; unless compacted the list was emptied, and its repair follows. */
    gap: Gap;
    state: ConnectionState;
    /** A command or the connection has failed in a way that a person should know of. */
    problem: Problem;
}
/** Times, in milliseconds. */
export interface Timing {
    /** Without hello for so long, a stream is mute and the next transport is tried: 5,000. */
    readonly hello: number;
    /** Silence of so many ping intervals means that the connection is dead: 2.5. */
    readonly silence: number;
    /** The first and the longest wait before trying again, with full jitter: 500 and 30,000. */
    readonly retryFirst: number;
    readonly retryMost: number;
    /** How often a better transport is tried: 600,000. */
    readonly probe: number;
    /** How long a long poll waits, in seconds: 25. */
    readonly wait: number;
    /** A request without an answer for so long has failed, besides its wait: 10,000. */
    readonly request: number;
}
/** Where the client remembers its cursor and what worked; localStorage has this shape. */
export interface Keep {
    getItem(key: string): string | null;
    setItem(key: string, value: string): void;
    removeItem(key: string): void;
}
/** What createInbox is given. One of `token` and `getToken` is required. */
export interface InboxOptions {
    /** The server: https://host[:port][/path]. Absent: where the page comes from. */
    readonly url?: string;
    readonly token?: string;
    /** Called when a token is needed, and again when it is about to expire or was not accepted. */
    readonly getToken?: () => string | Promise<string>;
    /** Absent: what GET /v1/transports recommends. */
    readonly transports?: readonly TransportName[];
    /** Where to begin; absent: where a storage that was given says, else with everything open. */
    readonly cursor?: string;
    /**
     * Keeps the cursor, for who keeps the entries elsewhere, and what worked. Absent: only
     * what worked is kept, in localStorage where there is one; null: nothing is.
     */
    readonly storage?: Keep | null;
    /** One connection for all tabs of the user; absent: true where the browser can, and neither cursor nor storage is given. */
    readonly share?: boolean;
    readonly timing?: Partial<Timing>;
    /** Parts of the surroundings in place of the browser's: a WebSocket for a Node without one, clocks of tests. */
    readonly platform?: Partial<Platform>;
}
/** What GET /v1/alarms is asked for. */
export interface AlarmQuery {
    readonly state?: "active" | "unacked" | "all";
    readonly severity_min?: Severity;
    readonly device?: string;
    readonly group?: string;
    readonly type?: string;
    readonly q?: string;
    readonly limit?: number;
    /** The `next` of the page before. */
    readonly after?: string;
}
/** An inbox. Its list is kept current by itself until close(). */
export interface Inbox {
    readonly state: ConnectionState;
    /** The cursor after what was delivered; null before the first answer. */
    readonly cursor: string | null;
    readonly counts: Counts;
    readonly user: string | null;
    on<K extends keyof InboxEvents>(event: K, heard: (told: InboxEvents[K]) => void): () => void;
    /** Every alarm that is active or unacknowledged, and those that ended since the list began. In no order. */
    alarms(): readonly Alarm[];
    /** Notices since the list began, the oldest first. */
    notices(): readonly Notice[];
    /** Marks as read: all there is, up to a cursor, or single alarms and notices. */
    read(what?: {
        readonly upto: string;
    } | {
        readonly ids: readonly string[];
    }): Promise<Counts>;
    ack(id: string | readonly string[], note?: string): Promise<readonly AckResult[]>;
    unack(id: string, note?: string): Promise<Alarm>;
    clear(id: string, note: string): Promise<Alarm>;
    /** Shelves until a time, RFC 3339. */
    shelve(id: string, until: string, note?: string): Promise<Alarm>;
    unshelve(id: string): Promise<Alarm>;
    comment(id: string, note: string): Promise<Alarm>;
    /** Asks the server's list, older alarms among them. */
    query(query?: AlarmQuery): Promise<{
        readonly alarms: readonly Alarm[];
        readonly next: string | null;
    }>;
    history(id: string, after?: string): Promise<{
        readonly entries: readonly unknown[];
        readonly next: string | null;
    }>;
    /** Uses these transports from now on, going on at the cursor. */
    use(transports: readonly TransportName[] | null): void;
    /** Takes the connection back after `superseded`, or tries again at once. */
    connect(): void;
    close(): void;
}
/** The outcome of one acknowledgement. */
export interface AckResult {
    readonly id: string;
    readonly alarm?: Alarm;
    readonly problem?: Problem;
}
