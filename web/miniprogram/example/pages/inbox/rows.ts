import type { Alarm, ConnectionState, Severity } from "../../tocsin";

/** A row as the page shows it; setData copies it, so there is no more in it than that. */
export interface Row {
  readonly id: string;
  readonly severity: Severity;
  readonly shape: string;
  readonly name: string;
  readonly device: string;
  readonly message: string;
  readonly state: string;
  readonly at: string;
  readonly acked: boolean;
  readonly fresh: boolean;
}

const RANK: Readonly<Record<Severity, number>> = { critical: 0, major: 1, minor: 2, indeterminate: 2, warning: 3 };
const SHAPES: Readonly<Record<Severity, string>> = { critical: "■", major: "▲", minor: "◆", warning: "●", indeterminate: "○" };

/** setData is slow: it gets so many rows, and no more. */
const MOST = 100;

/** The rows to show: what nobody has acknowledged first, then the worst, then the newest. */
export function rowsOf(alarms: readonly Alarm[], fresh: ReadonlySet<string>): Row[] {
  return alarms
    .filter(({ active, acked }) => active || !acked)
    .sort((a, b) => Number(a.acked) - Number(b.acked) || RANK[a.severity] - RANK[b.severity] || (a.received_at < b.received_at ? 1 : -1))
    .slice(0, MOST)
    .map((alarm) => ({
      id: alarm.id, severity: alarm.severity, shape: SHAPES[alarm.severity], name: alarm.type, device: alarm.device, message: alarm.message,
      state: `${alarm.active ? "active" : "cleared"}, ${alarm.acked ? `acknowledged by ${alarm.acked_by}` : "unacknowledged"}`,
      at: alarm.raised_at.slice(11, 19), acked: alarm.acked, fresh: fresh.has(alarm.id),
    }));
}

/** The connection in words. */
export function wordsOf(state: ConnectionState): string {
  switch (state.name) {
    case "live":
      return "Live";
    case "polling":
      return "Looking every few seconds";
    case "stale":
      return "The server has lost touch with its log";
    case "offline":
      return "No connection: trying again";
    case "refused":
      return `Refused: ${state.problem.title}`;
    case "superseded":
      return "Open elsewhere. Pull down to take it back";
    default:
      return "Connecting";
  }
}
