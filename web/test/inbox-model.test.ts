// What the inbox shows, and in which order; and what its files weigh.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import type { Alarm } from "../client/src/types.js";
import { createFormat } from "../inbox/format.js";
import { language } from "../inbox/lang/index.js";
import { arrange, matching, noFilter, wantsSound, type Filter } from "../inbox/model.js";

let made = 0;
function alarm(fields: Partial<Alarm>): Alarm {
  const at = `2026-11-21T12:00:${String(made++ % 60).padStart(2, "0")}.000Z`;
  return {
    id: `${fields.device ?? "d"}.1`, rev: 1, device: "d", type: "t", qualifier: "", occurrence: 1, severity: "major", severity_max: "major", kind: "stateful",
    active: true, acked: false, acked_by: null, acked_at: null, count: 1, groups: ["g"], raised_at: at, last_raised_at: at, received_at: at,
    cleared_at: null, message: "", attrs: {}, ...fields,
  };
}
const order = (alarms: Alarm[], sort: "urgency" | "newest" = "urgency") => arrange(alarms, sort, false, new Set()).map((row) => row.key.replace(".1", "")).join(" ");
const found = (alarms: readonly Alarm[], wish: Partial<Filter>) => matching(alarms, { ...noFilter, ...wish }).map(({ device }) => device).join(" ");

test("unacknowledged before acknowledged, active before over, then the worst, then the newest; indeterminate beside minor", () => {
  const list = [
    alarm({ device: "acked", acked: true, severity: "critical" }), alarm({ device: "over", active: false, severity: "critical" }),
    alarm({ device: "warning", severity: "warning" }), alarm({ device: "odd", severity: "indeterminate" }), alarm({ device: "minor", severity: "minor" }),
    alarm({ device: "older" }), alarm({ device: "newer" }), alarm({ device: "critical", severity: "critical" }),
  ];
  assert.equal(order([...list]), "critical newer older minor odd warning over acked");
  assert.equal(order([...list], "newest"), "critical newer older minor odd warning over acked");
  assert.equal(order([alarm({ device: "a", severity: "critical" }), alarm({ device: "b", severity: "warning" })], "newest"), "b a");
});

test("what is shelved is neither open nor sounds; what has ended shows with all", () => {
  const until = "2026-11-22T00:00:00.000Z";
  const list = [alarm({ device: "shelf", severity: "critical", shelved_until: until }), alarm({ device: "ended", active: false, acked: true }), alarm({ device: "open" })];
  assert.equal(found(list, {}), "open");
  assert.equal(found(list, { state: "shelved" }), "shelf");
  assert.equal(found(list, { state: "all" }), "shelf ended open");
  assert.deepEqual(list.map(wantsSound), [false, false, false]);
  assert.equal(wantsSound(alarm({ severity: "critical" })), true);
  assert.equal(wantsSound(alarm({ severity: "critical", active: false })), true, "until acknowledged, even when it is over");
});

test("only minor and warning alarms fold, by all their groups and type, from two on", () => {
  const rows = arrange([
    alarm({ device: "a", severity: "minor" }), alarm({ device: "b", severity: "warning" }), alarm({ device: "c", severity: "minor", groups: ["g", "h"] }),
    alarm({ device: "d" }), alarm({ device: "e" }), alarm({ device: "f", severity: "indeterminate" }), alarm({ device: "h", severity: "indeterminate" }),
  ], "urgency", true, new Set());
  assert.deepEqual(rows.map((row) => (row.kind === "fold" ? row.alarms.map(({ device }) => device).sort().join("+") : row.alarm.device)).sort(), ["a+b", "c", "d", "e", "f", "h"]);
});

test("dates: of today the time, of others the day; ages in words; what is no date as it is", () => {
  const format = createFormat(language(["en-GB"], []));
  const now = new Date();
  assert.match(format.time(now.toISOString()), /^\d\d:\d\d:\d\d$/);
  assert.match(format.time("2020-03-04T12:00:00Z"), /4 Mar/);
  assert.equal(format.age(new Date(now.getTime() - 125_000).toISOString(), now.getTime()), "2 min ago");
  assert.equal(createFormat(language(["zh"], [])).age(new Date(now.getTime() - 7_300_000).toISOString(), now.getTime()), "2小时前");
  assert.equal(format.full("whenever"), "whenever");
});

test("a language: what is asked for, in the region that the browser names", () => {
  assert.equal(language(["zh"], ["en-US", "zh-TW"]).tag, "zh-TW");
  assert.equal(language([null, "fr"], ["de", "en-AU"]).tag, "en-AU");
  assert.equal(language(["xx"], []).tag, "en");
});

test("the inbox is at most 38 KiB, the page around it 3 KiB", () => {
  const size = (file: string) => gzipSync(readFileSync(join(import.meta.dirname, "..", "dist", file)), { level: 9 }).length;
  assert.ok(size("inbox/tocsin-inbox.js") <= 38 * 1024, `${size("inbox/tocsin-inbox.js")} bytes`);
  assert.ok(size("page/page.js") <= 3 * 1024, `${size("page/page.js")} bytes`);
});
