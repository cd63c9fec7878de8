// What every client must do over every transport, against the real gateway. The client
// comes from a factory, so that the same file is run in Node, in a browser, through the
// mini-program's adapter and through the ES5 file.
import assert from "node:assert/strict";
import type { Timing, TransportName } from "../client/src/types.js";
import type { Gateway } from "./gateway.js";
import { until, type Factory, type OpenOptions, type Opened, type Seen } from "./harness.js";

/** Arguments of the gateway that scenarios want: everything told at once, nothing waits for long. */
export const GATEWAY_ARGS = ["--fold", "0", "--ping-interval", "1s", "--poll-interval-busy", "1s", "--poll-interval-idle", "1s", "--window", "1MiB", "--client-retry", "100ms"];

/** Times that keep the scenarios short. */
export const QUICK: Partial<Timing> = { hello: 2000, retryFirst: 50, retryMost: 400 };

export interface Setting {
  readonly gateway: Gateway;
  readonly transport: TransportName;
  readonly transports: readonly TransportName[];
  readonly factory: Factory;
}

/** One user with a group and devices of his own, so that scenarios do not meet. */
interface World extends Setting {
  readonly user: string;
  readonly group: string;
  token(ttl?: number): string;
  /** A device of his group. */
  device(name: string): Promise<string>;
  /** Publishes; what is given stands beside a type and a severity. */
  publish(device: string, more?: object): Promise<string>;
  open(options?: Partial<OpenOptions>): Promise<Opened>;
  /** The same, and waits until its transport runs. */
  live(options?: Partial<OpenOptions>): Promise<Opened>;
}

export interface Scenario {
  readonly name: string;
  run(setting: Setting): Promise<void>;
}

let worlds = 0;

function createWorld(setting: Setting): World {
  const { gateway, transport, factory } = setting;
  const name = `${transport}-${++worlds}`;
  const group = `g-${name}`;
  const token = (ttl = 3600) => gateway.token(name, { groups: [group], ttl });
  const open: World["open"] = (options = {}) =>
    factory({ url: gateway.url, transports: [transport], share: false, timing: QUICK, ...(options.tokens ? {} : { token: token() }), ...options });
  return {
    ...setting, user: name, group, token, open,
    async device(device) {
      const full = `${name}-${device}`;
      assert.equal((await gateway.api("PUT", `/v1/devices/${full}`, { groups: [group] })).status, 200);
      return full;
    },
    async publish(device, more = {}) {
      const { status, body } = await gateway.api("POST", "/v1/alarms", { device, type: "t", severity: "major", ...more });
      assert.equal(status, 202, JSON.stringify(body));
      return (body as { results: { id: string }[] }).results[0]?.id ?? "";
    },
    async live(options) {
      const client = await open(options);
      await running(client, transport);
      return client;
    },
  };
}

/** Waits until this transport runs. */
export const running = (client: Opened, transport: TransportName) =>
  until(client, `${transport} runs`, ({ state }) => "transport" in state && state.name !== "stale" && state.transport === transport);

/** The devices that `raised` was told of, in order. */
export const raisedOf = (seen: Seen) => seen.told.filter(({ type }) => type === "alarm.raised").map(({ device }) => device);

/** Waits until something was told of each, and sees to it that each was told once. */
export async function eachOnce(client: Opened, devices: readonly string[]): Promise<Seen> {
  const seen = await until(client, `${devices.length} alarms`, (now) => now.alarms.length >= devices.length && raisedOf(now).length >= devices.length, 30_000);
  assert.deepEqual(raisedOf(seen).sort(), [...devices].sort(), "each alarm is told once");
  assert.deepEqual(seen.alarms.map(({ device }) => device).sort(), [...devices].sort(), "each alarm is listed once");
  return seen;
}

const scenario = (name: string, act: (world: World) => Promise<void>): Scenario => ({ name, run: (setting) => act(createWorld(setting)) });

export const scenarios: readonly Scenario[] = [
  scenario("what is open comes first, then what happens, in order", async (w) => {
    const [d1, d2] = [await w.device("1"), await w.device("2")];
    await w.publish(d1);
    const client = await w.live();
    assert.deepEqual(raisedOf(await client.seen()), [d1]);
    await w.publish(d2, { severity: "critical", message: "a <b>message</b>" });
    await w.publish(d2, { severity: "critical", state: "cleared" });
    await w.gateway.api("POST", "/v1/notices", { to: { groups: [w.group] }, title: "hello" });
    const seen = await until(client, "all four", ({ told }) => told.length >= 4);
    assert.deepEqual(seen.told.map(({ type, device }) => `${type} ${device}`), [`alarm.raised ${d1}`, `alarm.raised ${d2}`, `alarm.cleared ${d2}`, "notice hello"]);
    assert.equal(seen.alarms.find(({ device }) => device === d2)?.active, false);
    assert.equal(seen.notices[0]?.title, "hello");
    assert.equal(seen.counts.active.critical, 1, "cleared, but not acknowledged");
    await client.call("close");
    assert.equal((await client.seen()).state.name, "closed");
  }),

  scenario("who comes back with his cursor misses nothing and hears nothing twice", async (w) => {
    const [d1, d2, d3] = [await w.device("1"), await w.device("2"), await w.device("3")];
    await w.publish(d1);
    const first = await w.live();
    const { cursor } = await until(first, "the first", ({ told }) => told.length === 1);
    await first.call("close");
    await w.publish(d2);
    const second = await w.live({ cursor: cursor ?? "" });
    await w.publish(d3);
    const seen = await until(second, "what came since", ({ told }) => told.length >= 2);
    assert.deepEqual(raisedOf(seen), [d2, d3]);
    assert.deepEqual(seen.gaps, []);
    await second.call("close");
  }),

  scenario("a storage keeps the cursor of a user", async (w) => {
    const [d1, d2] = [await w.device("1"), await w.device("2")];
    await w.publish(d1);
    const first = await w.live({ storage: w.user });
    await until(first, "the first", ({ told }) => told.length === 1);
    await first.call("close");
    await w.publish(d2);
    const second = await w.live({ storage: w.user });
    assert.deepEqual(raisedOf(await until(second, "the second", ({ told }) => told.length >= 1)), [d2]);
    await second.call("close");
    const other = await w.live({ storage: w.user, token: w.gateway.token(`${w.user}-b`, { groups: [w.group] }) });
    assert.deepEqual(raisedOf(await until(other, "somebody else's begin", ({ told }) => told.length >= 2)), [d1, d2]);
    await other.call("close");
  }),

  scenario("a gap is told, and the list begins anew", async (w) => {
    const [d1, d2] = [await w.device("1"), await w.device("2")];
    await w.publish(d1);
    const first = await w.live();
    const { cursor } = await until(first, "the first", ({ told }) => told.length === 1);
    await first.call("close");
    // With other groups the same cursor does not fit any more.
    assert.equal((await w.gateway.api("PUT", `/v1/devices/${d2}`, { groups: [`${w.group}-b`] })).status, 200);
    await w.publish(d2);
    const second = await w.live({ cursor: cursor ?? "", token: w.gateway.token(w.user, { groups: [`${w.group}-b`] }) });
    const seen = await until(second, "the gap and its repair", ({ gaps, alarms }) => gaps.length > 0 && alarms.length > 0);
    assert.deepEqual(seen.gaps.map(({ reason, repair }) => `${reason} ${repair}`), ["membership snapshot"]);
    assert.deepEqual(seen.alarms.map(({ device }) => device), [d2]);
    await second.call("close");
  }),

  scenario("a change of groups empties the list while it is open", async (w) => {
    const [d1, d2] = [await w.device("1"), await w.device("2")];
    const user = `${w.user}-m`;
    await w.gateway.api("PUT", `/v1/devices/${d2}`, { groups: [`${w.group}-b`] });
    await w.gateway.api("PUT", `/v1/users/${user}`, { groups: [w.group] });
    await w.publish(d1);
    await w.publish(d2);
    const client = await w.live({ token: w.gateway.token(user) });
    await until(client, "his alarm", ({ alarms }) => alarms.length === 1 && alarms[0]?.device === d1);
    await w.gateway.api("PUT", `/v1/users/${user}`, { groups: [`${w.group}-b`] });
    const seen = await until(client, "the other's", ({ alarms }) => alarms.length === 1 && alarms[0]?.device === d2);
    // One for what he left, and where that came late, one for what he joined.
    assert.deepEqual([...new Set(seen.gaps.map(({ reason }) => reason))], ["membership"]);
    await client.call("close");
  }),

  scenario("behind the window a list is kept and brought up to date", async (w) => {
    const [d1, d2] = [await w.device("1"), await w.device("2")];
    await w.publish(d1);
    const first = await w.live();
    const { cursor } = await until(first, "the first", ({ told }) => told.length === 1);
    await first.call("close");
    await w.publish(d2);
    await w.publish(d2, { severity: "critical" });
    // More than a window of other people's alarms.
    const filler = Array.from({ length: 1500 }, (_, i) => JSON.stringify({ device: `${w.user}-f${i % 50}`, type: "t", severity: "minor", message: "x".repeat(1000) })).join("\n");
    assert.equal((await w.gateway.api("POST", "/v1/alarms", filler)).status, 202);
    const second = await w.live({ cursor: cursor ?? "" });
    const seen = await until(second, "the newest of what changed", ({ alarms }) => alarms.length >= 1);
    assert.deepEqual(seen.gaps.map(({ reason }) => reason), ["compacted"]);
    assert.deepEqual(seen.alarms.map(({ device, severity }) => `${device} ${severity}`), [`${d2} critical`]);
    assert.equal(seen.told.length, 1, "one entry stands for both changes");
    await second.call("close");
  }),

  scenario("what others acknowledge, and what one does oneself", async (w) => {
    const [d1, d2, d3] = [await w.device("1"), await w.device("2"), await w.device("3")];
    const ids = [await w.publish(d1), await w.publish(d2), await w.publish(d3)];
    const client = await w.live();
    await until(client, "all three", ({ alarms }) => alarms.length === 3);
    await w.gateway.api("POST", `/v1/alarms/${ids[0]}/ack`, { note: "mine" });
    const seen = await until(client, "the acknowledgement", ({ told }) => told.some(({ type }) => type === "alarm.acked"));
    const acked = seen.alarms.find(({ device }) => device === d1);
    assert.deepEqual([acked?.acked, acked?.acked_by, acked?.ack_note], [true, "root", "mine"]);
    assert.equal(seen.told.find(({ type }) => type === "alarm.acked")?.note, "mine");

    const results = (await client.call("ack", [ids[1], "nobody.t._.1.x"], "both")) as { id: string; alarm?: { acked: boolean }; problem?: { status: number } }[];
    assert.deepEqual(results.map(({ alarm, problem }) => alarm?.acked ?? problem?.status), [true, 404]);
    assert.equal((await client.seen()).alarms.find(({ device }) => device === d2)?.acked, true, "at once, from the answer");
    await until(client, "its entry is told all the same", ({ told }) => told.filter(({ type }) => type === "alarm.acked").length === 2);

    await client.call("comment", ids[2], "looking");
    await client.call("shelve", ids[2], new Date(Date.now() + 3_600_000).toISOString());
    await client.call("unshelve", ids[2]);
    await client.call("clear", ids[2], "repaired");
    const after = await until(client, "all of it", ({ told }) => told.some(({ type, device }) => type === "alarm.cleared" && device === d3));
    assert.deepEqual(after.told.filter(({ device }) => device === d3).map(({ type }) => type),
      ["alarm.raised", "alarm.commented", "alarm.shelved", "alarm.updated", "alarm.cleared"]);
    const { entries } = (await client.call("history", ids[2])) as { entries: unknown[] };
    assert.equal(entries.length, 5);
    const { alarms } = (await client.call("query", { state: "unacked", device: d3 })) as { alarms: { device: string }[] };
    assert.deepEqual(alarms.map(({ device }) => device), [d3]);
    await assert.rejects(client.call("comment", "nobody.t._.1.x", "hm"));
    assert.deepEqual((await client.seen()).problems, ["/problems/not-found"]);
    await client.call("close");
  }),

  scenario("counters are those of all clients of the user", async (w) => {
    const d1 = await w.device("1");
    const [one, other] = [await w.live(), await w.live()];
    await w.publish(d1);
    for (const client of [one, other]) await until(client, "one unread", ({ counts, alarms }) => counts.unread === 1 && counts.active.major === 1 && alarms.length === 1);
    assert.equal(((await one.call("read")) as { unread: number }).unread, 0);
    assert.equal((await one.seen()).counts.unread, 0);
    await until(other, "read elsewhere", ({ counts }) => counts.unread === 0);
    assert.equal((await other.seen()).told.length, 1, "counters come without an entry");
    for (const client of [one, other]) await client.call("close");
  }),

  scenario("revisions only go up, and a new occurrence takes the place of the old one", async (w) => {
    const d1 = await w.device("1");
    const client = await w.live();
    for (const severity of ["warning", "minor", "major", "critical"]) await w.publish(d1, { severity });
    await w.publish(d1, { state: "cleared" });
    const second = await w.publish(d1, { severity: "minor" });
    const seen = await until(client, "the second occurrence", ({ alarms }) => alarms[0]?.id === second);
    const revs = seen.told.map(({ rev }) => rev);
    assert.deepEqual(revs, [...revs].sort((a, b) => a - b));
    assert.equal(new Set(revs).size, revs.length);
    assert.equal(seen.alarms.length, 1);
    assert.equal(seen.alarms[0]?.occurrence, 2);
    await client.call("close");
  }),

  scenario("an alarm that goes to other groups is gone, and may come back", async (w) => {
    const d1 = await w.device("1");
    const client = await w.live();
    await w.publish(d1);
    await until(client, "it is there", ({ alarms }) => alarms.length === 1);
    await w.gateway.api("PUT", `/v1/devices/${d1}`, { groups: [`${w.group}-b`] });
    await until(client, "it is gone", ({ alarms }) => alarms.length === 0);
    await w.gateway.api("PUT", `/v1/devices/${d1}`, { groups: [w.group] });
    const seen = await until(client, "it is back", ({ alarms }) => alarms.length === 1);
    assert.deepEqual(seen.told.map(({ type }) => type), ["alarm.raised", "alarm.removed", "alarm.updated"]);
    await client.call("close");
  }),

  scenario("one leaves on one transport and goes on with another", async (w) => {
    const devices = await Promise.all(Array.from({ length: 6 }, (_, i) => w.device(`${i}`)));
    const client = await w.live();
    const hops = [...w.transports.filter((name) => name !== w.transport), w.transport];
    for (const [i, name] of hops.entries()) {
      await w.publish(devices[i] ?? "");
      await client.call("use", [name]);
      await running(client, name);
    }
    await w.publish(devices[hops.length] ?? "");
    await eachOnce(client, devices.slice(0, hops.length + 1));
    await client.call("close");
  }),

  scenario("a token that ends is replaced before, and nothing is lost", async (w) => {
    const [d1, d2] = [await w.device("1"), await w.device("2")];
    const client = await w.live({ tokens: [w.token(3), w.token(3600)] });
    await w.publish(d1);
    await until(client, "the second token", ({ fetched }) => fetched === 2);
    await w.publish(d2);
    const seen = await eachOnce(client, [d1, d2]);
    assert.ok(!seen.states.includes("refused"));
    await client.call("close");
  }),

  scenario("a token that is taken back is replaced, one that cannot be is the end", async (w) => {
    const [d1, d2] = [await w.device("1"), await w.device("2")];
    const old = w.gateway.token(w.user, { groups: [w.group], jti: `${w.user}-1` });
    const [client, stuck] = [await w.live({ tokens: [old, w.token()] }), await w.live({ token: old })];
    await w.publish(d1);
    await until(client, "the first", ({ told }) => told.length === 1);
    assert.equal((await w.gateway.api("POST", "/v1/revocations", { jti: `${w.user}-1` })).status, 204);
    await until(stuck, "the end", ({ state }) => state.name === "refused");
    await until(client, "the second token", ({ fetched }) => fetched === 2);
    await w.publish(d2);
    await eachOnce(client, [d1, d2]);
    for (const one of [client, stuck]) await one.call("close");
  }),

  scenario("a token without the scope is refused for good", async (w) => {
    const client = await w.open({ token: w.gateway.token(w.user, { scope: "publish" }) });
    const { state } = await until(client, "refused", (seen) => seen.state.name === "refused");
    assert.equal(state.name === "refused" && state.problem.status, 403);
    await client.call("close");
  }),

  scenario("a restart of the server is survived", async (w) => {
    const devices = await Promise.all(["1", "2", "3"].map(w.device));
    const client = await w.live();
    await w.publish(devices[0] ?? "");
    await until(client, "the first", ({ told }) => told.length === 1);
    await w.gateway.stop();
    await until(client, "that nobody is there", ({ state }) => state.name === "offline");
    await w.gateway.start();
    await w.publish(devices[1] ?? "");
    await running(client, w.transport);
    await w.publish(devices[2] ?? "");
    const seen = await eachOnce(client, devices);
    assert.deepEqual(seen.gaps, []);
    await client.call("close");
  }),

  scenario("a flood comes whole, and its lesser alarms are quiet", async (w) => {
    const client = await w.live();
    const names = Array.from({ length: 300 }, (_, i) => `${w.user}-${i}`);
    assert.equal((await w.gateway.api("POST", "/v1/directory", names.map((device) => JSON.stringify({ device, groups: [w.group] })).join("\n"))).status, 200);
    const lines = names.map((device, i) => JSON.stringify({ device, type: "t", severity: i % 2 ? "minor" : "major" }));
    assert.equal((await w.gateway.api("POST", "/v1/alarms", lines.join("\n"))).status, 202);
    const seen = await eachOnce(client, names);
    assert.ok((seen.counts.flood?.quiet ?? 0) > 100);
    assert.ok(seen.told.filter(({ quiet }) => quiet).length > 100);
    assert.ok(seen.told.every(({ quiet, device }) => !quiet || Number(device.split("-").pop()) % 2 === 1), "what is major is never quiet");
    await client.call("close");
  }),
];
