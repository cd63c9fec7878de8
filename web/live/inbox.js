// The inbox as its entries tell it (docs/protocol.md §3, §8): what there is, in
// which state. It knows neither the network nor the page.

export const SEVERITIES = ["critical", "major", "minor", "warning", "indeterminate"];

// What is done, cleared and acknowledged, is kept to be looked at, but not for ever.
const MAX_DONE = 100;

// keyOf is what has one row: an alarm by device, type and qualifier, whichever its
// occurrence; a notice by itself. null: an entry of a later version.
function keyOf(entry) {
  if (entry.alarm) return JSON.stringify([entry.alarm.device, entry.alarm.type, entry.alarm.qualifier]);
  if (entry.notice) return JSON.stringify([entry.notice.id]);
  return null;
}

// cameAt is when the server first heard of it: a device's clock may be wrong.
function cameAt(entry) {
  const alarm = entry.alarm;
  return Date.parse((alarm && (alarm.received_at || alarm.raised_at)) || entry.time) || 0;
}

export function createInbox() {
  const rows = new Map();
  let counts = { unread: 0, active: {}, flood: null };

  function applyOne(entry, fresh) {
    const key = keyOf(entry);
    if (key === null) return;
    const known = rows.get(key);
    const rev = entry.alarm ? entry.alarm.rev : 0;
    if (known && rev < known.rev) return;
    if (entry.type === "alarm.removed") {
      rows.delete(key);
      return;
    }
    const raised = entry.type === "alarm.raised" || entry.type === "notice";
    rows.set(key, {
      key, rev,
      alarm: entry.alarm || null,
      notice: entry.notice || null,
      time: entry.time,
      came: cameAt(entry),
      fresh: fresh && raised && !(known && known.rev === rev),
      done: entry.alarm ? !entry.alarm.active && entry.alarm.acked : false,
    });
  }

  function dropOldDone() {
    const done = [...rows.values()].filter((row) => row.done);
    done.sort((a, b) => b.came - a.came);
    for (const row of done.slice(MAX_DONE)) rows.delete(row.key);
  }

  return {
    // apply takes entries in their order; fresh: they are news, not history.
    apply(entries, fresh) {
      for (const entry of entries) applyOne(entry, fresh);
      dropOldDone();
    },

    // acked takes the answer to an acknowledgement, which may be here before the
    // entry that tells everybody.
    acked(alarm) {
      applyOne({ type: "alarm.acked", time: alarm.acked_at, alarm }, false);
    },

    // readAll puts away the notices: nothing else of an inbox ends by being read.
    readAll() {
      for (const row of rows.values()) if (row.notice) rows.set(row.key, { ...row, done: true, fresh: false });
    },

    empty() {
      rows.clear();
    },

    setCounts(next) {
      if (!next || typeof next.unread !== "number") return;
      counts = { unread: next.unread, active: next.active || {}, flood: next.flood || null };
    },

    counts: () => counts,

    // sorted lists the rows that are done, or those that are not, newest first.
    sorted(done) {
      return [...rows.values()].filter((row) => row.done === done).sort((a, b) => b.came - a.came || (a.key < b.key ? -1 : 1));
    },
  };
}
