// When the client does what, on a clock that goes as fast as the test. The surroundings
// and the transports are made up here; what they do for real is in the scenarios.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { DEFAULTS, openInbox } from "../client/src/inbox.js";
import type { Platform, Sign } from "../client/src/platform.js";
import type { Ending, Session, Transport } from "../client/src/transport.js";
import type { ConnectionState, Inbox, InboxOptions, TransportName } from "../client/src/types.js";

/** A clock that only goes when it is told to, and the surroundings that have it. */
function createWorld(random = 0.5) {
  let now = 1_000_000;
  let reachable = true;
  let told: (sign: Sign) => void = () => {};
  const timers = new Set<{ readonly at: number; readonly act: () => void }>();
  const kept = new Map<string, string>();
  const platform: Platform = {
    async request(ask) {
      if (!reachable) throw new Error("no network");
      const body = ask.url.endsWith("/v1/transports")
        ? { transports: ["websocket", "sse", "poll"].map((name) => ({ name })) }
        : { entries: [], cursor: "c1", more: false, unread: 0, active: {}, interval: 30, gap: null };
      return { status: 200, header: () => null, body: JSON.stringify(body) };
    },
    now: () => now,
    later(ms, act) {
      const timer = { at: now + ms, act };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
    random: () => random,
    storage: { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => void kept.set(key, value), removeItem: (key) => void kept.delete(key) },
    origin: "https://gateway.example",
    watch(hear) {
      told = hear;
      return () => (told = () => {});
    },
  };
  /** Lets everything happen that waits for no time. */
  async function settle(): Promise<void> {
    for (let i = 0; i < 200; i++) await Promise.resolve();
  }
  return {
    platform, settle, kept,
    now: () => now,
    reach: (yes: boolean) => (reachable = yes),
    sign: (sign: Sign) => told(sign),
    /** Lets so many ms pass. */
    async pass(ms: number): Promise<void> {
      await settle();
      for (const end = now + ms; ; ) {
        const next = [...timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
        now = next?.at ?? end;
        if (!next) return;
        timers.delete(next);
        next.act();
        await settle();
      }
    },
  };
}

interface Fake extends Transport {
  readonly sessions: Session[];
  /** What a run does first: say hello with this ping, end so, or stay mute. */
  manner: { readonly ping: number } | Ending | "mute";
  end(ending: Ending): void;
}

function fake(name: TransportName, manner: Fake["manner"]): Fake {
  const sessions: Session[] = [];
  let finish: (ending: Ending) => void = () => {};
  const one: Fake = {
    name, mode: name === "poll" ? "polling" : "live", stream: name !== "poll", fits: () => true, manner, sessions,
    run(session) {
      sessions.push(session);
      if (one.manner !== "mute" && "kind" in one.manner) return Promise.resolve(one.manner);
      if (one.manner !== "mute") session.tell.hello(one.manner.ping);
      return new Promise((resolve) => (finish = resolve));
    },
    end: (ending) => finish(ending),
  };
  return one;
}

type World = ReturnType<typeof createWorld>;

function open(world: World, transports: readonly Transport[], options: Partial<InboxOptions> = {}): { inbox: Inbox; states: ConnectionState[] } {
  const inbox = openInbox(world.platform, { token: "t", ...options }, transports);
  const states: ConnectionState[] = [];
  inbox.on("state", (state) => states.push(state));
  return { inbox, states };
}

const runs = (inbox: Inbox) => ("transport" in inbox.state ? inbox.state.transport : inbox.state.name);

test("a server that is away is tried for ever, after 0.5 s at first and 30 s at last, with full jitter", async () => {
  for (const random of [0, 0.25, 0.999]) {
    const world = createWorld(random);
    world.reach(false);
    const { inbox, states } = open(world, [fake("poll", { ping: 0 })]);
    await world.settle();
    for (let i = 0; i < 50; i++) {
      assert.equal(inbox.state.name, "offline");
      const wait = inbox.state.name === "offline" ? inbox.state.retryAt - world.now() : -1;
      assert.equal(wait, random * Math.min(30_000, 500 * 2 ** i));
      const before = states.length;
      await world.pass(wait);
      if (random === 0) break; // no wait at all: there is nothing to measure
      assert.ok(states.length > before, "it was tried again");
    }
    world.reach(true);
    await world.pass(30_000);
    assert.equal(runs(inbox), "poll");
    inbox.close();
  }
});

test("a stream without hello is left after 5 s", async () => {
  const world = createWorld();
  const { inbox } = open(world, [fake("websocket", "mute"), fake("sse", { ping: 20 })]);
  await world.pass(4999);
  assert.equal(inbox.state.name, "connecting");
  await world.pass(1);
  assert.equal(runs(inbox), "sse");
  inbox.close();
});

test("silence of 2.5 pings is the end of a connection; whatever comes is a sign of life", async () => {
  const world = createWorld();
  const websocket = fake("websocket", { ping: 20 });
  const { inbox, states } = open(world, [websocket]);
  await world.pass(49_000);
  websocket.sessions[0]?.tell.heard();
  await world.pass(49_999);
  assert.deepEqual([runs(inbox), websocket.sessions.length], ["websocket", 1]);
  await world.pass(1);
  assert.equal(states.at(-1)?.name, "offline");
  await world.pass(500);
  assert.deepEqual([runs(inbox), websocket.sessions.length], ["websocket", 2]);
  inbox.close();
});

test("who looks again after a sleep is connected again at once", async () => {
  const world = createWorld();
  const websocket = fake("websocket", { ping: 20 });
  const { inbox } = open(world, [websocket]);
  await world.pass(10);
  // Timers stood still, the clock did not.
  const { later } = world.platform;
  Object.assign(world.platform, { now: () => world.now() + 100_000, later });
  world.sign("shown");
  await world.pass(500);
  assert.deepEqual([runs(inbox), websocket.sessions.length], ["websocket", 2]);
  inbox.close();
});

test("something better is tried every 10 min, and takes over when it says hello", async () => {
  const world = createWorld();
  const [websocket, sse] = [fake("websocket", { kind: "failed", why: "no" }), fake("sse", { ping: 0 })];
  const { inbox, states } = open(world, [websocket, sse]);
  await world.pass(599_000);
  assert.equal(websocket.sessions.length, 1);
  await world.pass(2000);
  assert.deepEqual([websocket.sessions.length, runs(inbox), sse.sessions.length], [2, "sse", 1]);
  websocket.manner = "mute";
  await world.pass(600_000);
  assert.equal(websocket.sessions.length, 3);
  assert.equal(runs(inbox), "sse", "the old one goes on");
  websocket.sessions[2]?.tell.hello(20);
  await world.settle();
  assert.equal(runs(inbox), "websocket");
  assert.ok(sse.sessions[0]?.scope.over);
  assert.deepEqual(states.map(({ name }) => name), ["live", "live"]);
  inbox.close();
});

test("what worked the last time comes first, and is looked beyond soon", async () => {
  const world = createWorld();
  const [websocket, sse] = [fake("websocket", { kind: "failed", why: "no" }), fake("sse", { ping: 0 })];
  const first = open(world, [websocket, sse]);
  await world.settle();
  first.inbox.close();
  websocket.manner = { ping: 0 };
  const second = open(world, [websocket, sse]);
  await world.settle();
  assert.deepEqual([runs(second.inbox), websocket.sessions.length], ["sse", 1]);
  await world.pass(30_000);
  assert.equal(runs(second.inbox), "websocket");
  second.inbox.close();
});

test("one that worked is not left for a network that was away for a moment", async () => {
  const world = createWorld();
  const [websocket, sse] = [fake("websocket", { ping: 0 }), fake("sse", { ping: 0 })];
  const { inbox } = open(world, [websocket, sse]);
  await world.pass(10);
  websocket.manner = { kind: "failed", why: "no network" };
  websocket.end({ kind: "failed", why: "cut" });
  const { request } = world.platform;
  world.platform.request = (ask, scope) => {
    websocket.manner = { ping: 0 }; // back by the time of the look
    return request(ask, scope);
  };
  await world.pass(1000);
  assert.deepEqual([runs(inbox), websocket.sessions.length, sse.sessions.length], ["websocket", 3, 0]);
  inbox.close();
});

test("a transport that breaks three times soon after its hello gives way", async () => {
  const world = createWorld();
  const [websocket, sse] = [fake("websocket", { ping: 0 }), fake("sse", { ping: 0 })];
  const { inbox } = open(world, [websocket, sse]);
  for (let i = 0; i < 3; i++) {
    await world.pass(10_000);
    assert.equal(runs(inbox), "websocket");
    websocket.end({ kind: "failed", why: "cut" });
  }
  await world.pass(30_000);
  assert.equal(runs(inbox), "sse");
  inbox.close();
});

test("a server that has lost touch with its log is stale until it says otherwise", async () => {
  const world = createWorld();
  const websocket = fake("websocket", { ping: 0 });
  const { inbox } = open(world, [websocket]);
  await world.pass(10);
  const say = (stale: boolean) => websocket.sessions.at(-1)?.tell.page({ entries: [], counts: { unread: 0, active: {}, ...(stale ? { stale } : {}) } });
  const states: string[] = [];
  inbox.on("state", ({ name }) => void states.push(name));
  for (const stale of [true, true, false, true]) say(stale);
  await world.settle();
  assert.deepEqual(states, ["stale", "live", "stale"]);
  // Another connection is what it says itself.
  websocket.end({ kind: "bye", reason: "rotate", retry: 0 });
  await world.pass(10);
  assert.deepEqual(states.slice(3), ["connecting", "live"]);
  inbox.close();
});

test("the server's bye says when to come back, superseded that one must not", async () => {
  const world = createWorld();
  const websocket = fake("websocket", { ping: 0 });
  const { inbox } = open(world, [websocket]);
  await world.pass(10);
  websocket.end({ kind: "bye", reason: "drain", retry: 7000 });
  await world.pass(6999);
  assert.equal(websocket.sessions.length, 1);
  await world.pass(1);
  assert.equal(websocket.sessions.length, 2);
  websocket.end({ kind: "bye", reason: "stale", retry: 1000 });
  await world.settle();
  assert.equal(inbox.state.name, "stale");
  await world.pass(1000);
  websocket.end({ kind: "superseded" });
  await world.pass(3_600_000);
  assert.deepEqual([inbox.state.name, websocket.sessions.length], ["superseded", 3]);
  inbox.connect();
  await world.settle();
  assert.equal(runs(inbox), "websocket");
  inbox.close();
});

test("what is put to sleep has nothing open, and begins with a look when it wakes", async () => {
  const world = createWorld();
  const websocket = fake("websocket", { ping: 20 });
  const { inbox } = open(world, [websocket]);
  await world.pass(10);
  world.sign("sleep");
  await world.pass(3_600_000);
  assert.ok(websocket.sessions.every(({ scope }) => scope.over));
  assert.equal(websocket.sessions.length, 1);
  world.sign("wake");
  await world.settle();
  assert.deepEqual([runs(inbox), websocket.sessions.length], ["websocket", 2]);
  inbox.close();
});

test("a token is replaced before it ends, whatever its length", async () => {
  for (const [ttl, due] of [[3600, 3570], [60, 48]] as const) {
    const world = createWorld();
    const asked: number[] = [];
    const token = () => `.${Buffer.from(JSON.stringify({ sub: "anna", exp: world.now() / 1000 + ttl })).toString("base64url")}.`;
    const began = world.now();
    const inbox = openInbox(world.platform, { getToken: () => (asked.push((world.now() - began) / 1000), token()) }, [fake("poll", { ping: 0 })]);
    await world.pass((ttl + 1) * 1000);
    assert.deepEqual(asked.slice(0, 2), [0, due]);
    assert.equal(inbox.user, "anna");
    inbox.close();
  }
});

test("all of this is what holds where nothing else is said, in the ES5 file too", () => {
  const file = readFileSync(join(import.meta.dirname, "..", "legacy", "tocsin-legacy.js"), "utf8");
  assert.deepEqual(new Function(`return ${/var timing = (\{.*?\});/.exec(file)?.[1]}`)(), DEFAULTS);
  assert.deepEqual(DEFAULTS, { hello: 5000, silence: 2.5, retryFirst: 500, retryMost: 30_000, probe: 600_000, wait: 25, request: 10_000 });
});
