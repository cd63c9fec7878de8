// The ES5 file in Chromium, against the real gateway.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import type { LegacyOptions } from "../legacy/tocsin-legacy";
import type { Alarm, Entry } from "../client/src/types";
import { startBrowser } from "./browser";
import { startGateway, type Gateway } from "./gateway";
import { GATEWAY_ARGS, scenarios } from "./scenarios";
import { createLegacyFactory } from "./legacyfactory";
import { begin, legacyFile, libraryOfIE8, openLegacy, withoutStreams } from "./legacypage";

const foreignOrigin = "http://localhost:1";
let gateway: Gateway;
let browser: Browser;
before(async () => {
  [gateway, browser] = await Promise.all([startGateway("--poll-interval-busy", "1s", "--poll-interval-idle", "1s", "--allowed-origins", foreignOrigin), startBrowser()]);
});
after(async () => {
  await browser?.close();
  await gateway?.stop();
});

let users = 0;
/** A user of his own for a test, with a group of his own. */
function somebody(): { user: string; group: string; token: string } {
  const user = `user${++users}`;
  return { user, group: `crew${users}`, token: gateway.token(user, { groups: [`crew${users}`] }) };
}

/** Has devices of this group raise alarms, n of them from the first on. */
async function raise(group: string, first: number, n: number): Promise<void> {
  const numbers = Array.from({ length: n }, (_, i) => first + i);
  const lines = numbers.map((i) => JSON.stringify({ device: `${group}-${i}`, groups: [group] })).join("\n");
  assert.equal((await gateway.api("POST", "/v1/directory", lines)).status, 200);
  const answer = await gateway.api("POST", "/v1/alarms", numbers.map((i) => ({ device: `${group}-${i}`, type: "fire", severity: "critical" })));
  assert.equal(answer.status, 202);
}

const start = (page: Page, options: LegacyOptions) => page.evaluate((given) => (0, eval)("begin")(given), options);
const devices = (page: Page) => page.evaluate(() => window.inbox.alarms().map((alarm: Alarm) => alarm.device).sort());
const entriesTold = (page: Page) =>
  page.evaluate(() => window.told.filter((t) => t.what === "entries").flatMap((t) => t.value as Entry[]).map((entry) => entry.seq));
/** Waits until this holds in the page. */
const until = (page: Page, holds: string) => page.waitForFunction(holds, undefined, { polling: 20, timeout: 20_000 });

for (const [name, first, transport] of [
  ["with WebSocket", ";", "websocket"],
  ["with WebSocket, EventSource and fetch removed", withoutStreams, "longpoll"],
] as const) {
  test(`${name}: what is open, what comes, acknowledge and read`, async () => {
    const who = somebody();
    await raise(who.group, 0, 3);
    const context = await browser.newContext();
    const page = await openLegacy(context, gateway.url, first);
    await start(page, { token: who.token });
    await until(page, `inbox.transport === "${transport}" && inbox.state === "live" && inbox.alarms().length === 3`);
    await raise(who.group, 3, 2);
    await until(page, "inbox.alarms().length === 5 && inbox.counts.unread === 5 && inbox.counts.active.critical === 5");
    const seqs = await entriesTold(page);
    assert.equal(new Set(seqs).size, seqs.length, "an entry came twice");
    assert.deepEqual(await devices(page), [0, 1, 2, 3, 4].map((i) => `${who.group}-${i}`));

    const acked = await page.evaluate(() => new Promise<unknown>((done) => {
      const [a, b] = window.inbox.alarms();
      window.inbox.ack([a?.id ?? "", b?.id ?? "", "gone.t._.1.x"], "seen", (problem, results) =>
        done([problem, results.map((result) => result.alarm?.acked_by ?? result.problem?.status)]));
    }));
    assert.deepEqual(acked, [null, [who.user, who.user, 404]]);
    await until(page, "inbox.alarms().filter(function (a) { return a.acked; }).length === 2");

    await page.evaluate(() => new Promise((done) => window.inbox.read(null, (problem, counts) => done([problem, counts]))));
    await until(page, "inbox.counts.unread === 0");
    assert.equal((await devices(page)).length, 5, "what is read stays in the list");
    await page.evaluate(() => window.inbox.close());
    await until(page, "inbox.state === 'closed'");
    await context.close();
  });
}

test("short poll alone", async () => {
  const who = somebody();
  const context = await browser.newContext();
    const page = await openLegacy(context, gateway.url, withoutStreams);
  await start(page, { token: who.token, transports: ["poll"] });
  await until(page, "inbox.state === 'polling'");
  await raise(who.group, 0, 2);
  await until(page, "inbox.alarms().length === 2");
  await context.close();
});

test("with the library of Internet Explorer 8", async () => {
  const who = somebody();
  await raise(who.group, 0, 1);
  const context = await browser.newContext();
    const page = await openLegacy(context, gateway.url);
  await page.evaluate(([take, file, run, token]) => {
    const frame = document.body.appendChild(document.createElement("iframe"));
    const inside = frame.contentWindow as unknown as { eval(text: string): void; begin(options: object): void; inbox: Window["inbox"] };
    inside.eval(take);
    inside.eval(`(function (location) { ${file} }).call(window, parent.location);`); // an empty frame has no location of its own
    inside.eval(run);
    inside.begin({ token });
    window.inbox = inside.inbox;
  }, [libraryOfIE8, legacyFile, begin, who.token] as const);
  await until(page, "inbox.transport === 'longpoll' && inbox.alarms().length === 1");
  await raise(who.group, 1, 1);
  await until(page, "inbox.alarms().length === 2");
  await context.close();
});

// The way of old browsers is what is left when these are taken away.
const settings = [
  { transport: "websocket", transports: ["websocket", "longpoll", "poll"], first: ";" },
  { transport: "longpoll", transports: ["longpoll", "poll"], first: withoutStreams },
  { transport: "poll", transports: ["longpoll", "poll"], first: withoutStreams },
] as const;

for (const { transport, transports, first } of settings) {
  describe(`the scenarios over ${transport}${first === withoutStreams ? ", with WebSocket, EventSource and fetch removed" : ""}`, () => {
    let own: Gateway;
    let pages: ReturnType<typeof createLegacyFactory>;
    before(async () => {
      own = await startGateway(...GATEWAY_ARGS);
      pages = createLegacyFactory(browser, own.url, first);
    });
    after(async () => {
      await pages?.close();
      await own?.stop();
    });
    for (const scenario of scenarios) {
      test(scenario.name, { timeout: 60_000 }, () => scenario.run({ gateway: own, transport, transports, factory: pages.factory }));
    }
  });
}
