// Parts of the client where what matters happens between two messages.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createList, hush } from "../client/src/list.js";
import type { Platform, SocketEvents } from "../client/src/platform.js";
import { createScope } from "../client/src/scope.js";
import { createParser, sse, type ServerEvent } from "../client/src/sse.js";
import { createStore } from "../client/src/store.js";
import { claimsOf, keyOf } from "../client/src/tokens.js";
import type { Ending, Page, Session, Transport } from "../client/src/transport.js";
import type { Alarm, Entry } from "../client/src/types.js";
import { websocket } from "../client/src/ws.js";

function entry(type: `alarm.${string}`, device: string, rev: number, more: Partial<Alarm> = {}): Entry {
  const alarm = { id: `${device}.1`, rev, device, type: "t", qualifier: "", severity: "major", active: true, acked: false, ...more } as Alarm;
  return { seq: rev, type, time: "2026-11-21T12:00:00.000Z", by: "ingest", alarm };
}
const notice = (id: string): Entry => ({ seq: 1, type: "notice", time: "", by: "x", notice: { id, from: "x", title: "t", body: "", data: null } });
const devices = (list: ReturnType<typeof createList>) => list.alarms().map(({ device, rev }) => `${device} ${rev}`).join(", ");

test("what is older or the same is no news, and changes nothing", () => {
  const list = createList();
  assert.equal(list.apply([entry("alarm.raised", "d1", 3), entry("alarm.updated", "d1", 2)]).length, 1);
  assert.equal(list.apply([entry("alarm.raised", "d1", 3), notice("n"), notice("n")]).length, 1);
  assert.equal(devices(list), "d1 3");
  list.empty();
  assert.equal(list.apply([entry("alarm.raised", "d1", 3)]).length, 1, "after a gap it is");
});

test("a new occurrence takes the place of the old one, what is removed stays so", () => {
  const list = createList();
  list.apply([entry("alarm.raised", "d1", 1), entry("alarm.raised", "d1", 3, { id: "d1.2" }), entry("alarm.raised", "d2", 2)]);
  assert.deepEqual(list.alarms().map(({ id }) => id), ["d1.2", "d2.1"]);
  assert.equal(list.apply([entry("alarm.removed", "d2", 2)]).length, 1);
  assert.equal(list.apply([entry("alarm.raised", "d2", 2), entry("alarm.removed", "d2", 2)]).length, 0, "the same again, as after another connection");
  assert.equal(devices(list), "d1 3");
});

test("a command's answer is in the list before its entry, which is told all the same", () => {
  const list = createList();
  list.apply([entry("alarm.raised", "d1", 1)]);
  const acked = entry("alarm.acked", "d1", 2, { acked: true });
  assert.ok("alarm" in acked && list.put(acked.alarm));
  assert.equal(list.alarms()[0]?.acked, true);
  assert.equal(list.apply([acked]).length, 1);
  assert.equal(list.put(acked.alarm), false);
});

test("what is over is not kept for ever, what is open is", () => {
  const list = createList();
  list.apply(Array.from({ length: 10_000 }, (_, i) => entry("alarm.raised", `o${i}`, 1)));
  list.apply(Array.from({ length: 1500 }, (_, i) => entry("alarm.acked", `d${i}`, 2, { active: false, acked: true })));
  list.apply(Array.from({ length: 1500 }, (_, i) => notice(`n${i}`)));
  assert.deepEqual([list.alarms().length, list.notices().length], [10_000, 1000]);
});

test("in a flood lesser alarms are quiet", () => {
  const entries = (["critical", "major", "minor", "warning", "indeterminate"] as const).map((severity) => entry("alarm.raised", severity, 1, { severity }));
  const quiet = (flood: boolean) => hush(entries, { unread: 0, active: {}, ...(flood ? { flood: { since: "", quiet: 1 } } : {}) }).map((one) => one.quiet ?? false);
  assert.deepEqual(quiet(true), [false, false, true, true, false]);
  assert.deepEqual(quiet(false), [false, false, false, false, false]);
});

test("entries of a later version are passed over", () => {
  assert.equal(createList().apply([{ seq: 1, type: "weather", time: "", by: "" } as unknown as Entry]).length, 0);
});

test("a page is told as a whole: gap, entries, change, and the cursor is that of the end", () => {
  const later: Platform["later"] = () => () => {};
  const store = createStore({ later } as Platform, null);
  const told: string[] = [];
  store.on("gap", () => told.push(`gap ${store.list.alarms().length}`));
  store.on("entries", (entries) => told.push(`entries ${entries.length} ${store.cursor}`));
  store.on("change", ({ unread }) => told.push(`change ${unread}`));
  const gap = { reason: "epoch", from: "c0", lost: null, repair: "snapshot" } as const;
  store.page({ entries: [entry("alarm.raised", "d1", 1)], cursor: "c1", counts: { unread: 1, active: {} } });
  store.page({ entries: [], cursor: "c2" });
  store.page({ gap, entries: [entry("alarm.raised", "d1", 1)], cursor: "c3", counts: { unread: 1, active: {} } });
  store.page({ gap: { ...gap, reason: "compacted", repair: "newest" }, entries: [], cursor: "c4" });
  assert.deepEqual(told, ["entries 1 c1", "change 1", "gap 0", "entries 1 c3", "change 1", "gap 1"]);
});

const STREAM = ': a comment\nretry: 500\nevent: hello\nid: c1\ndata: {"v":1}\n\nid: c2\ndata: one\ndata: two\n\nid: c3\n\nevent: ping\ndata: {}\n\n';
const WANT: readonly ServerEvent[] = [
  { type: "hello", data: '{"v":1}', id: "c1" },
  { type: "message", data: "one\ntwo", id: "c2" },
  { type: "ping", data: "{}", id: null },
];

for (const [name, end] of [["LF", "\n"], ["CRLF", "\r\n"], ["CR", "\r"]] as const) {
  test(`events are read however the stream is cut, lines ended by ${name}`, () => {
    const stream = `${STREAM.replaceAll("\n", end)}:\n`; // a CR at the very end waits for what may be its LF
    for (let size = 1; size <= stream.length; size++) {
      const got: ServerEvent[] = [];
      const parser = createParser((event) => got.push(event));
      for (let i = 0; i < stream.length; i += size) parser(stream.slice(i, i + size));
      assert.deepEqual(got, WANT, `pieces of ${size}`);
    }
  });
}

/** Runs a transport against surroundings that are told what to say. */
function runOn(transport: Transport, platform: Partial<Platform>, cursor: string | null) {
  const pages: Page[] = [];
  const scope = createScope();
  const session: Session = {
    platform: { now: () => 0, ...platform } as Platform,
    timing: { hello: 0, silence: 0, retryFirst: 0, retryMost: 0, probe: 0, wait: 0, request: 0 },
    scope, cursor: () => cursor, token: async () => "t", onToken: () => {},
    ask: () => Promise.reject(new Error("not asked")),
    url: (path) => `http://gateway.example${path}`,
    tell: { hello: () => {}, heard: () => {}, page: (page) => pages.push(page) },
  };
  return { pages, scope, done: transport.run(session) };
}

const GAP = { reason: "epoch", from: "c0", lost: null, repair: "snapshot" };
const settle = () => new Promise((soon) => setImmediate(soon));

test("until a gap is repaired the cursor stays what it was: WebSocket", async () => {
  const sent: string[] = [];
  let on: SocketEvents | undefined;
  const run = runOn(websocket, { socket: (_url, _protocol, events) => ((on = events), { send: (text) => sent.push(text), close: () => {} }) }, "c0");
  await settle();
  on?.opened();
  assert.deepEqual(sent.map((text) => JSON.parse(text) as unknown), [{ op: "auth", token: "t", cursor: "c0" }]);
  const say = (message: object) => on?.message(JSON.stringify(message));
  say({ op: "hello", v: 1, cursor: "c9", resumed: false, ping: 20, unread: 0, active: {} });
  say({ op: "gap", gap: GAP });
  say({ op: "ping", cursor: "c9" });
  assert.deepEqual(run.pages.filter((page) => page.cursor !== undefined || page.gap), []);
  say({ op: "entries", entries: [entry("alarm.raised", "d1", 1)], cursor: "c10", unread: 1, active: {} });
  assert.deepEqual(run.pages.at(-1)?.gap, GAP);
  assert.equal(run.pages.at(-1)?.cursor, "c10");
  say({ op: "ping", cursor: "c11" });
  assert.deepEqual([run.pages.at(-1)?.cursor, JSON.parse(sent.at(-1) ?? "")], ["c11", { op: "pong" }]);
  on?.closed(4409);
  assert.deepEqual(await run.done, { kind: "superseded" } satisfies Ending);
});

test("until a gap is repaired the cursor stays what it was: events", async () => {
  let say: (text: string) => void = () => {};
  let over: () => void = () => {};
  const run = runOn(sse, {
    stream(_ask, scope, head, piece) {
      head({ status: 200, header: () => "text/event-stream; charset=utf-8" });
      say = piece;
      return new Promise((resolve) => scope.onEnd((over = resolve)));
    },
  }, "c0");
  await settle();
  say(`event: hello\ndata: {"v":1,"cursor":"c9","resumed":false,"ping":20,"unread":0,"active":{}}\n\nevent: gap\ndata: ${JSON.stringify(GAP)}\n\n`);
  assert.deepEqual(run.pages.filter((page) => page.cursor !== undefined || page.gap), []);
  say(`id: c10\ndata: ${JSON.stringify(entry("alarm.raised", "d1", 1))}\n\nid: c11\ndata: ${JSON.stringify(entry("alarm.raised", "d2", 2))}\n\nevent: counts\ndata: {"unread":2,"active":{}}\n\n`);
  assert.equal(run.pages.length, 2);
  assert.deepEqual([run.pages[1]?.gap, run.pages[1]?.cursor, run.pages[1]?.entries.length, run.pages[1]?.counts?.unread], [GAP, "c11", 2, 2]);
  over();
  assert.equal((await run.done).kind, "failed");
});

test("a token's claims are read whatever is in them, and what is no JWT has none", () => {
  const token = (claims: object) => `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.x`;
  assert.deepEqual(claimsOf(token({ sub: "安娜 ✓ Ä", exp: 1.5, groups: ["a"] })), { sub: "安娜 ✓ Ä", exp: 1500, groups: ["a"] });
  for (const odd of ["", "opaque", "a.%%%.c", "a.bm90anNvbg.c"]) assert.deepEqual([claimsOf(odd), keyOf(odd)], [{ sub: null, exp: null, groups: [] }, null]);
  assert.notEqual(keyOf(token({ sub: "a" })), keyOf(token({ sub: "a", groups: ["g"] })));
});
