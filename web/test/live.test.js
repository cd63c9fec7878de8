// What the live page makes of entries and events; run with node --test web/test.
import assert from "node:assert/strict";
import test from "node:test";
import { createInbox } from "../live/inbox.js";
import { createParser } from "../live/sse.js";

function entry(type, device, rev, alarm = {}) {
  return {
    type, time: "2026-11-21T12:00:00.000Z",
    alarm: {
      id: `${device}.1`, rev, device, type: "t", qualifier: "", severity: "major", active: true, acked: false,
      received_at: `2026-11-21T12:00:${String(rev).padStart(2, "0")}.000Z`, ...alarm,
    },
  };
}
const devices = (inbox, done = false) => inbox.sorted(done).map((row) => row.alarm.device).join(" ");

test("an older revision changes nothing, the same one again does no harm", () => {
  const inbox = createInbox();
  inbox.apply([entry("alarm.raised", "d1", 3, { severity: "critical" }), entry("alarm.updated", "d1", 2, { severity: "minor" })]);
  assert.equal(inbox.sorted(false)[0].alarm.severity, "critical");
  inbox.apply([entry("alarm.raised", "d1", 3, { severity: "critical" })], true);
  assert.equal(inbox.sorted(false).length, 1);
  assert.equal(inbox.sorted(false)[0].fresh, false);
});

test("a new occurrence takes the row of the old one", () => {
  const inbox = createInbox();
  inbox.apply([entry("alarm.raised", "d1", 1), entry("alarm.cleared", "d1", 2, { active: false }), entry("alarm.raised", "d1", 3, { id: "d1.2" })]);
  assert.deepEqual(inbox.sorted(false).map((row) => row.alarm.id), ["d1.2"]);
});

test("cleared and acknowledged is done, in either order; removed is gone", () => {
  const inbox = createInbox();
  inbox.apply([entry("alarm.raised", "d1", 1), entry("alarm.raised", "d2", 2), entry("alarm.cleared", "d1", 3, { active: false })]);
  assert.equal(devices(inbox), "d1 d2");
  inbox.acked(entry("", "d1", 4, { active: false, acked: true }).alarm);
  assert.equal(devices(inbox), "d2");
  assert.equal(devices(inbox, true), "d1");
  inbox.apply([{ type: "alarm.removed", time: "", alarm: { id: "d2.1", rev: 3, device: "d2", type: "t", qualifier: "" } }]);
  assert.equal(devices(inbox), "");
});

test("what is done is not kept for ever", () => {
  const inbox = createInbox();
  for (let i = 0; i < 300; i++) inbox.apply([entry("alarm.acked", `d${i}`, 2, { active: false, acked: true })]);
  assert.equal(inbox.sorted(true).length, 100);
});

test("notices stay until they are read", () => {
  const inbox = createInbox();
  inbox.apply([{ type: "notice", time: "2026-11-21T12:00:00.000Z", notice: { id: "u.ada.1", from: "x", title: "t", body: "" } }]);
  assert.equal(inbox.sorted(false).length, 1);
  inbox.readAll();
  assert.equal(inbox.sorted(false).length, 0);
});

test("a flood lasts as long as the counters have it", () => {
  const inbox = createInbox();
  assert.equal(inbox.counts().flood, null);
  inbox.setCounts({ unread: 12, active: { minor: 12 }, flood: { since: "2026-11-21T12:00:00.000Z", quiet: 12 } });
  assert.equal(inbox.counts().flood.quiet, 12);
  inbox.setCounts({ unread: 2, active: { minor: 2 } });
  assert.equal(inbox.counts().flood, null);
});

test("entries of a later version are passed over", () => {
  const inbox = createInbox();
  inbox.apply([{ type: "weather", time: "", weather: {} }]);
  assert.equal(inbox.sorted(false).length, 0);
});

const STREAM = ': a comment\nretry: 500\nevent: hello\nid: c1\ndata: {"v":1}\n\nid: c2\ndata: one\ndata: two\n\nid: c3\n\nevent: ping\ndata: {}\n\n';
const WANT = [
  { type: "hello", data: '{"v":1}', id: "c1" },
  { type: "message", data: "one\ntwo", id: "c2" },
  { type: "ping", data: "{}", id: null },
];

for (const [name, end] of [["LF", "\n"], ["CRLF", "\r\n"], ["CR", "\r"]]) {
  test(`events are read however the stream is cut, lines ended by ${name}`, () => {
    // A CR at the very end waits for what may be its LF.
    const stream = STREAM.replaceAll("\n", end) + ":\n";
    for (let size = 1; size <= stream.length; size++) {
      const got = [];
      const parse = createParser((event) => got.push(event));
      for (let i = 0; i < stream.length; i += size) parse(stream.slice(i, i + size));
      assert.deepEqual(got, WANT, `pieces of ${size}`);
    }
  });
}
