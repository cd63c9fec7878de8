// A mini-program is often killed while it is hidden, and with it its list. The cursor
// outlives that, so what happened since is told, once; this adds what was open before.
import type { Alarm, Counts, Inbox, Keep } from "../../client/src/types.js";

const keyOf = ({ device, type, qualifier }: Pick<Alarm, "device" | "type" | "qualifier">) => JSON.stringify([device, type, qualifier]);
const PAGE = 500;

/** A storage, and whether a cursor was found in it. */
export function watchCursor(keep: Keep): Keep & { found(): boolean } {
  let found = false;
  return {
    getItem(key) {
      const value = keep.getItem(key);
      if (value !== null && key.startsWith("tocsin:cursor:")) found = true;
      return value;
    },
    setItem: (key, value) => keep.setItem(key, value),
    removeItem: (key) => keep.removeItem(key),
    found: () => found,
  };
}

/** Completes the list of an inbox that began at a cursor, once it gets through. */
export function complete(inbox: Inbox, resumed: () => boolean): Inbox {
  const { alarms, on } = inbox;
  const before = new Map<string, Alarm>();
  const gone = new Set<string>(); // while it is asked for
  const ears = new Set<(counts: Counts) => void>();
  let asking = false;
  let done = false;

  async function ask(): Promise<void> {
    for (let after: string | null | undefined; after !== null; ) {
      const page = await inbox.query({ state: "active", limit: PAGE, ...(after ? { after } : {}) });
      for (const alarm of page.alarms) if (!done && !gone.has(keyOf(alarm))) before.set(keyOf(alarm), alarm);
      after = page.next;
    }
    done = true;
    for (const heard of [...ears]) heard(inbox.counts);
  }

  on("entries", (entries) => {
    for (const entry of entries) {
      if (entry.type !== "alarm.removed" || !("alarm" in entry)) continue;
      before.delete(keyOf(entry.alarm));
      gone.add(keyOf(entry.alarm));
    }
  });
  on("gap", ({ reason }) => {
    if (reason === "compacted") return;
    done = true; // the repair brings everything
    before.clear();
  });
  on("state", ({ name }) => {
    if ((name !== "live" && name !== "polling") || asking || done || !resumed()) return;
    asking = true;
    // In vain: the next state that gets through asks again.
    ask().catch(() => before.clear()).finally(() => (asking = false));
  });

  inbox.alarms = () => {
    const now = new Map(before);
    for (const alarm of alarms()) {
      const known = now.get(keyOf(alarm));
      if (!known || known.rev <= alarm.rev) now.set(keyOf(alarm), alarm);
    }
    return [...now.values()];
  };
  inbox.on = (event, heard) => {
    const off = on(event, heard);
    if (event !== "change") return off;
    const ear = heard as (counts: Counts) => void;
    ears.add(ear);
    return () => {
      off();
      ears.delete(ear);
    };
  };
  return inbox;
}
