// <tocsin-inbox> in Chromium behind real trouble. Each ends with every alarm told, listed
// and shown once.
import assert from "node:assert/strict";
import { after, before, describe, test, type TestContext } from "node:test";
import type { Browser, BrowserContext, Page } from "playwright-core";
import type { Timing } from "../client/src/types.js";
import { openPage, openTab, type Shown } from "./browser-client.js";
import { startBrowser } from "./browser.js";
import { floodThroughKill } from "./flood.js";
import { startGateway, type Gateway } from "./gateway.js";
import { until, type OpenOptions, type Seen } from "./harness.js";
import { http10Proxy, httpProxy, tunnel, type Manners, type Proxy } from "./proxies.js";
import { eachOnce, running } from "./scenarios.js";
import { eventually } from "./wait.js";

/** Short for a test, but enough for a machine that is busy; what they are by default is asserted in client.times.test.ts. */
const TIMING: Partial<Timing> = { hello: 3000, retryFirst: 50, retryMost: 400, wait: 5 };

interface Scene {
  readonly gateway: Gateway;
  readonly context: BrowserContext;
  /** Opens a page of this origin and an inbox in it, by default over whatever goes. */
  open(origin: string, options?: Partial<OpenOptions>): Promise<Shown & { readonly page: Page }>;
  /** Raises alarms of so many new devices; their names. */
  raise(count?: number): Promise<readonly string[]>;
  /** All devices so far. */
  readonly devices: readonly string[];
  token(ttl?: number): string;
  /** Sees to it that the proxy is closed. */
  behind<P extends Proxy>(proxy: Promise<P>): Promise<P>;
  /** Streams that the server has open for the user. */
  streams(): Promise<number>;
}

let browser: Browser;

/** A gateway and a browser context of the test's own, which go with it. */
async function scene(t: TestContext, ...args: string[]): Promise<Scene> {
  const [gateway, context] = await Promise.all([startGateway("--ping-interval", "1s", "--client-retry", "100ms", ...args), browser.newContext()]);
  const proxies: Proxy[] = [];
  const devices: string[] = [];
  t.after(async () => {
    await context.close();
    await Promise.all([...proxies.map((proxy) => proxy.close()), gateway.stop()]);
  });
  const token = (ttl = 3600) => gateway.token("anna", { groups: ["*"], ttl });
  return {
    gateway, context, devices, token,
    async open(origin, options = {}) {
      const { page, show } = await openPage(context, origin);
      return { page, ...(await show({ url: origin, share: false, timing: TIMING, ...(options.tokens ? {} : { token: token() }), ...options })) };
    },
    async raise(count = 1) {
      const names = Array.from({ length: count }, () => `d${devices.push("") - 1}`);
      devices.splice(devices.length - count, count, ...names);
      const lines = names.map((device) => JSON.stringify({ device, type: "t", severity: "major" }));
      assert.equal((await gateway.api("POST", "/v1/alarms", lines.join("\n"))).status, 202);
      return names;
    },
    async behind(coming) {
      const proxy = await coming;
      proxies.push(proxy);
      return proxy;
    },
    async streams() {
      const { body } = await gateway.api("GET", "/v1/connections?user=anna");
      return (body as { connections: { transport: string }[] }).connections.filter(({ transport }) => !transport.includes("poll")).length;
    },
  };
}

/** How many lines are surely drawn: of more, only those in sight are in the document. */
const IN_SIGHT = 12;

/** Waits until each was told and is shown, and sees to it that each was and is so once. */
async function eachShown(client: Shown, devices: readonly string[]): Promise<Seen> {
  const seen = await eachOnce(client, devices);
  await eventually(`${devices.length} lines are shown`, async () => (await client.lines()).count === devices.length);
  const { devices: shown } = await client.lines();
  if (devices.length <= IN_SIGHT) assert.deepEqual([...shown].sort(), [...devices].sort(), "each alarm is shown once");
  assert.equal(new Set(shown).size, shown.length, "no alarm is shown twice");
  return seen;
}

const OPTIONS = { timeout: 60_000 };

describe("trouble", { concurrency: 3 }, () => {
  before(async () => {
    browser = await startBrowser();
  });
  after(() => browser.close());

  test("a proxy that refuses upgrades: events", OPTIONS, async (t) => {
    const s = await scene(t);
    const proxy = await s.behind(httpProxy(s.gateway.port, { upgrades: false }));
    await s.raise();
    const client = await s.open(proxy.url);
    await running(client, "sse");
    await s.raise(3);
    await eachShown(client, s.devices);
    const ways = proxy.asked.filter((path) => path.startsWith("/v1/inbox")).map((path) => path.replace(/\?.*/, ""));
    assert.deepEqual(ways, ["/v1/inbox", "/v1/inbox/ws", "/v1/inbox", "/v1/inbox/sse"], "data in one round trip, then the best, then the next if it is not the network");
  });

  test("a proxy that buffers events: long poll, and what works is remembered", OPTIONS, async (t) => {
    const s = await scene(t);
    const proxy = await s.behind(httpProxy(s.gateway.port, { upgrades: false, buffer: 1 << 20 }));
    await s.raise();
    const client = await s.open(proxy.url);
    await running(client, "longpoll");
    await s.raise(3);
    const seen = await eachShown(client, s.devices);
    assert.ok(!seen.states.includes("offline"));
    proxy.asked.length = 0;
    const second = await s.open(proxy.url);
    await running(second, "longpoll");
    assert.deepEqual(proxy.asked.filter((path) => /\/(sse|ws)\b/.test(path)), [], "no stream was waited for");
  });

  test("a proxy that speaks HTTP/1.0: long poll", OPTIONS, async (t) => {
    const s = await scene(t);
    const proxy = await s.behind(http10Proxy(s.gateway.port));
    await s.raise();
    const client = await s.open(proxy.url);
    await running(client, "longpoll");
    await s.raise(3);
    await eachShown(client, s.devices);
  });

  test("what is better is tried again, and the old one kept until it says hello", OPTIONS, async (t) => {
    const s = await scene(t);
    const manners: Manners = { upgrades: false };
    const proxy = await s.behind(httpProxy(s.gateway.port, manners));
    const client = await s.open(proxy.url, { timing: { ...TIMING, probe: 300 } });
    await running(client, "sse");
    await s.raise(2);
    manners.upgrades = true;
    await running(client, "websocket");
    await s.raise(2);
    const seen = await eachShown(client, s.devices);
    assert.deepEqual(seen.states, ["live sse", "live websocket"], "nothing in between");
  });

  test("another network: what is better is tried at once", OPTIONS, async (t) => {
    const s = await scene(t);
    const manners: Manners = { upgrades: false };
    const proxy = await s.behind(httpProxy(s.gateway.port, manners));
    const client = await s.open(proxy.url);
    await running(client, "sse");
    manners.upgrades = true;
    await client.page.evaluate(() => dispatchEvent(new Event("online")));
    await running(client, "websocket");
    await s.raise(2);
    const seen = await eachShown(client, s.devices);
    assert.deepEqual(seen.states, ["live sse", "live websocket"]);
  });

  test("connections that are cut when they idle", OPTIONS, async (t) => {
    const s = await scene(t, "--ping-interval", "20s", "--poll-interval-busy", "1s", "--poll-interval-idle", "1s");
    const proxy = await s.behind(tunnel(s.gateway.port, 1000));
    const client = await s.open(proxy.url);
    await running(client, "websocket");
    for (let round = 0; round < 4; round++) {
      const before = proxy.idled();
      await eventually("a cut", () => proxy.idled() > before);
      await s.raise();
    }
    await eachShown(client, s.devices);
  });

  test("a connection that goes silent without an end", OPTIONS, async (t) => {
    const s = await scene(t);
    const proxy = await s.behind(tunnel(s.gateway.port));
    const client = await s.open(proxy.url);
    await running(client, "websocket");
    proxy.freeze();
    await s.raise(2);
    await eachShown(client, s.devices);
    assert.ok((await client.seen()).states.includes("offline"));
  });

  test("the server is restarted", OPTIONS, async (t) => {
    const s = await scene(t);
    const client = await s.open(s.gateway.url);
    await running(client, "websocket");
    await s.raise();
    await s.gateway.stop();
    await until(client, "offline", ({ state }) => state.name === "offline");
    await s.gateway.start();
    await s.raise(2);
    const seen = await eachShown(client, s.devices);
    assert.deepEqual(seen.gaps, []);
  });

  test("the network goes off and on", OPTIONS, async (t) => {
    const s = await scene(t);
    const client = await s.open(s.gateway.url);
    await running(client, "websocket");
    await s.raise();
    await s.context.setOffline(true);
    await until(client, "offline", ({ state }) => state.name === "offline");
    await s.raise(2);
    await s.context.setOffline(false);
    await running(client, "websocket");
    await s.raise();
    await eachShown(client, s.devices);
  });

  test("the tab is hidden, cut off, frozen, and looked at again", OPTIONS, async (t) => {
    const s = await scene(t);
    const proxy = await s.behind(tunnel(s.gateway.port));
    const tab = await openTab(browser, proxy.url);
    const client = await tab.show({ url: proxy.url, token: s.token(), share: false, timing: TIMING });
    await running(client, "websocket");
    await s.raise();
    await tab.hide();
    await eventually("it is hidden", async () => (await tab.visibility()) === "hidden");
    proxy.cut();
    await s.raise();
    await eachShown(client, s.devices);
    await tab.freeze();
    proxy.cut();
    await eventually("the server has noticed", async () => (await s.streams()) === 0);
    await s.raise(2);
    await tab.resume();
    await tab.look();
    await eachShown(client, s.devices);
    await running(client, "websocket");
    await client.call("close");
  });

  test("tabs share one connection, and the next leads when the leader is closed", OPTIONS, async (t) => {
    const s = await scene(t);
    await s.raise();
    const [one, two] = [await s.open(s.gateway.url, { share: true }), await s.open(s.gateway.url, { share: true })];
    const leads = (yes: boolean) => ({ state }: { state: object }) => "leader" in state && state.leader === yes;
    await until(one, "leads", leads(true));
    await until(two, "follows", leads(false));
    await s.raise(2);
    for (const tab of [one, two]) await eachShown(tab, s.devices);
    assert.equal(await s.streams(), 1);
    const [id] = (await two.seen()).alarms.map((alarm) => alarm.id);
    await two.call("ack", id);
    await until(one, "acknowledged by a follower", ({ alarms }) => alarms.some((alarm) => alarm.id === id && alarm.acked));

    await one.page.close();
    await s.raise(2);
    await until(two, "leads now", leads(true));
    await s.raise();
    await eachShown(two, s.devices);
    const three = await s.open(s.gateway.url, { share: true });
    await until(three, "follows", leads(false));
    await s.raise();
    await eachShown(two, s.devices);
    const { alarms } = await until(three, "the leader's list", (seen) => seen.alarms.length === s.devices.length);
    assert.deepEqual(alarms.map(({ device }) => device).sort(), [...s.devices].sort());
    assert.equal(await s.streams(), 1);
  });

  test("a leader that is frozen is replaced, and follows when it is back", OPTIONS, async (t) => {
    const s = await scene(t);
    const options = { url: s.gateway.url, token: s.token(), share: true, timing: TIMING };
    const tab = await openTab(browser, s.gateway.url);
    const one = await tab.show(options);
    await until(one, "leads", ({ state }) => "leader" in state && state.leader);
    const other = await openTab(browser, s.gateway.url);
    const two = await other.show(options);
    await until(two, "follows", ({ state }) => "leader" in state && !state.leader);
    await s.raise();
    await eachShown(two, s.devices);
    await eventually("it is hidden", async () => (await tab.visibility()) === "hidden");
    await tab.freeze();
    await s.raise();
    await other.hide();
    await other.look(); // a person looks at it
    await until(two, "leads", ({ state }) => "leader" in state && state.leader);
    await s.raise();
    await eachShown(two, s.devices);
    await tab.resume();
    await until(one, "follows", ({ state }) => "leader" in state && !state.leader);
    await s.raise();
    for (const client of [one, two]) await eachShown(client, s.devices);
    for (const client of [one, two]) await client.call("close");
  });

  test("the token expires and is refreshed on the open connection", OPTIONS, async (t) => {
    const s = await scene(t, "--jwt-leeway", "0s");
    const ends = Date.now() + 5000;
    const client = await s.open(s.gateway.url, { tokens: [s.token(-60), s.token(5), s.token()] });
    await running(client, "websocket");
    await s.raise();
    await until(client, "the third token", ({ fetched }) => fetched === 3);
    await eventually("the second has ended", () => Date.now() > ends + 500);
    await s.raise(2);
    const seen = await eachShown(client, s.devices);
    assert.deepEqual(seen.states, ["live websocket"], "the connection stayed");
  });

  test("another window takes the only connection, and gives it back when asked to", OPTIONS, async (t) => {
    const s = await scene(t, "--connections-per-user", "1");
    const one = await s.open(s.gateway.url);
    await running(one, "websocket");
    const two = await s.open(s.gateway.url);
    await until(one, "superseded", ({ state }) => state.name === "superseded");
    await running(two, "websocket");
    await s.raise();
    await eachShown(two, s.devices);
    assert.equal((await one.seen()).state.name, "superseded", "it does not come back by itself");
    await one.call("connect");
    await running(one, "websocket");
    await eachShown(one, s.devices);
  });

  test("kill -9 in a flood of 127 alarms a second", OPTIONS, async (t) => {
    const s = await scene(t, "--poll-interval-busy", "1s");
    const client = await s.open(s.gateway.url);
    await running(client, "websocket");
    const devices = await floodThroughKill(s.gateway, "plant");
    const seen = await eachShown(client, devices);
    assert.deepEqual(seen.gaps, []);
    assert.ok(seen.states.length > 1, "it was cut off");
  });
});
