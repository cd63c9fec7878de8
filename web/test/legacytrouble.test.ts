// The ES5 file where something is in the way: each ends with every alarm told once.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Browser } from "playwright-core";
import { startBrowser } from "./browser.js";
import { floodThroughKill } from "./flood.js";
import { startGateway, type Gateway } from "./gateway.js";
import { until, type OpenOptions } from "./harness.js";
import { createLegacyFactory } from "./legacyfactory.js";
import { withoutStreams } from "./legacypage.js";
import { GATEWAY_ARGS, QUICK, eachOnce, raisedOf } from "./scenarios.js";
import { httpProxy, type Manners } from "./proxies.js";

const TIMING = { ...QUICK, hello: 400, request: 1500, wait: 2 };
let gateway: Gateway;
let browser: Browser;
before(async () => {
  [gateway, browser] = await Promise.all([startGateway(...GATEWAY_ARGS, "--connections-per-user", "1", "--allowed-origins", "*"), startBrowser()]);
});
after(async () => {
  await browser?.close();
  await gateway?.stop();
});

let worlds = 0;
/** A user, his devices, and his page from an origin; first takes away what his browser has not. */
function world(origin: string, first = ";") {
  const name = `t${++worlds}`;
  const pages = createLegacyFactory(browser, origin, first);
  const devices: string[] = [];
  return {
    devices, token: (ttl = 3600) => gateway.token(name, { groups: [name], ttl }), close: pages.close,
    open: (options: Partial<OpenOptions> = {}) => pages.factory({ url: "", timing: TIMING, ...(options.tokens ? {} : { token: gateway.token(name, { groups: [name] }) }), ...options }),
    async raise(n = 1) {
      const more = Array.from({ length: n }, () => `${name}-${devices.length + 1}-${Math.random().toString(36).slice(2)}`);
      devices.push(...more);
      await gateway.api("POST", "/v1/directory", more.map((device) => JSON.stringify({ device, groups: [name] })).join("\n"));
      const { status } = await gateway.api("POST", "/v1/alarms", more.map((device) => ({ device, type: "t", severity: "critical", id: device })));
      assert.equal(status, 202);
    },
  };
}

async function behind(judge: NonNullable<Manners["judge"]>, act: (proxy: Awaited<ReturnType<typeof httpProxy>>) => Promise<void>): Promise<void> {
  const proxy = await httpProxy(gateway.port, { judge });
  try {
    await act(proxy);
  } finally {
    await proxy.close();
  }
}

for (const [name, treatment] of [["refuses upgrades", "refuse"], ["swallows what follows an upgrade", "swallow"]] as const) {
  test(`a proxy that ${name}: the long poll goes on`, () =>
    behind(({ headers }) => (headers.upgrade ? treatment : "pass"), async (proxy) => {
      const w = world(proxy.url);
      await w.raise();
      const client = await w.open();
      await until(client, "the long poll", ({ state }) => state.name === "live" && state.transport === "longpoll");
      await w.raise(5);
      await eachOnce(client, w.devices);
      assert.ok(proxy.asked.some((path) => path.includes("/v1/inbox/ws")));
      await w.close();
    }));
}

test("a proxy that cuts what waits: the short poll goes on, and the better is tried again", () =>
  behind(({ url = "" }) => (/[?&]wait=/.test(url) ? "cut" : "pass"), async (proxy) => {
    const w = world(proxy.url, withoutStreams);
    const client = await w.open({ timing: { ...TIMING, probe: 1500 } });
    await until(client, "the short poll", ({ state }) => state.name === "polling");
    await w.raise(5);
    await eachOnce(client, w.devices);
    const tried = () => proxy.asked.filter((path) => path.includes("wait=")).length;
    const before = tried();
    await until(client, "the long poll is tried again", () => tried() > before);
    await w.raise(2);
    await eachOnce(client, w.devices);
    await w.close();
  }));

test("a proxy that cuts every connection again and again", () =>
  behind(() => "cut", async (proxy) => {
    const w = world(proxy.url);
    const client = await w.open();
    for (let i = 0; i < 6; i++) {
      await w.raise();
      await eachOnce(client, w.devices);
    }
    await w.close();
  }));

test("kill -9 in a flood of 127 alarms a second", async () => {
  const [w, old] = [world(gateway.url), world(gateway.url, withoutStreams)];
  const token = (user: string) => gateway.token(user, { groups: ["old-plant"] });
  const clients = [await w.open({ token: token("flood-1") }), await old.open({ token: token("flood-2") })];
  for (const client of clients) await until(client, "live", ({ state }) => state.name === "live");
  const devices = await floodThroughKill(gateway, "old-plant");
  for (const client of clients) {
    const { states, gaps } = await eachOnce(client, devices);
    assert.ok(states.some((state) => !state.startsWith("live")), "it was cut off");
    assert.deepEqual(gaps, []);
  }
  for (const one of [w, old]) await one.close();
});

test("one stream too many: the oldest says so, and comes back when it is told to", async () => {
  const w = world(gateway.url);
  const first = await w.open({ transports: ["websocket"] });
  await until(first, "live", ({ state }) => state.name === "live");
  const second = await w.open({ transports: ["websocket"] });
  await until(first, "superseded", ({ state }) => state.name === "superseded");
  await first.call("connect");
  await until(second, "superseded in turn", ({ state }) => state.name === "superseded");
  await w.raise();
  await eachOnce(first, w.devices);
  await w.close();
});

// XDomainRequest over XMLHttpRequest: no headers but the browser's own, no status, no
// type of the body but text/plain.
const explorer = `${withoutStreams}
(function () {
  var Real = window.XMLHttpRequest;
  window.XDomainRequest = function () {
    var self = this, real = new Real();
    self.open = function (method, url) { real.open(method, url); };
    self.send = function (body) {
      if (!self.onprogress) throw new Error("the answer would be lost");
      real.timeout = self.timeout;
      real.onload = function () {
        if (real.status < 200 || real.status > 299) return self.onerror();
        self.responseText = real.responseText;
        self.onload();
      };
      real.onerror = function () { self.onerror(); };
      real.ontimeout = function () { self.ontimeout(); };
      if (body) real.setRequestHeader("Content-Type", "text/plain");
      real.send(body);
    };
    self.abort = function () { real.abort(); };
  };
  window.XMLHttpRequest = function () { this.open = function () { throw new Error("Access is denied."); }; };
})();`;

test("Internet Explorer 9 on a page of another origin: XDomainRequest, the token in the address", () =>
  behind(() => "pass", async (proxy) => {
    // The page comes over the proxy, so the gateway itself is another origin.
    const w = world(proxy.url, explorer);
    const before = proxy.asked.length;
    const client = await w.open({ url: gateway.url, tokens: [w.token(3), w.token()] });
    await w.raise(2);
    await until(client, "the long poll", ({ state }) => state.name === "live" && state.transport === "longpoll");
    const seen = await eachOnce(client, w.devices);
    const results = (await client.call("ack", seen.alarms[0]?.id, "seen")) as { alarm: { ack_note: string } }[];
    assert.equal(results[0]?.alarm.ack_note, "seen");
    assert.equal(((await client.call("read")) as { unread: number }).unread, 0);
    await until(client, "the second token", ({ fetched }) => fetched >= 2);
    await w.raise(2);
    assert.deepEqual(raisedOf(await eachOnce(client, w.devices)).length, 4);
    assert.equal(proxy.asked.slice(before).filter((path) => path.includes("/v1/inbox")).length, 0);
    await w.close();
  }));
