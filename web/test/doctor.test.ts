// The transport doctor: in a real browser, at the real gateway, behind real trouble.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { quantile } from "../console/stats";
import { skewOf } from "../console/clock";
import { inspect } from "./axe";
import { startBrowser } from "./browser";
import { httpProxy, type Manners } from "./proxies";
import { startGateway, type Gateway } from "./gateway";

const hostile = `"><img src=x onerror="window.harmed=1">`;

let browser: Browser;
let gateway: Gateway;

before(async () => {
  [browser, gateway] = await Promise.all([startBrowser(), startGateway("--ping-interval", "1s")]);
});
after(async () => {
  await browser.close();
  await gateway.stop();
});

interface Visit {
  readonly page: Page;
  /** What the page complained of: violations of its policy, errors. */
  readonly complaints: string[];
  health(transport: string): Promise<string | null>;
  words(transport: string): Promise<string>;
  verdict(): Promise<string>;
  close(): Promise<void>;
}

/** Opens the doctor behind a proxy with these manners, and has it examine for so many seconds. */
async function examine(manners: Manners, seconds: number, options: BrowserContextOptions = {}): Promise<Visit> {
  const proxy = await httpProxy(gateway.port, manners);
  const context = await browser.newContext({ locale: "en-GB", ...options });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error" && !/Failed to load resource|WebSocket connection|net::ERR/.test(message.text())) complaints.push(message.text());
  });
  await page.goto(`${proxy.url}/doctor?seconds=${seconds}#token=${gateway.token("ada")}`);
  await page.locator("#begin").click();
  await page.locator("#report").waitFor({ timeout: 60_000 });
  const finding = (transport: string) => page.locator(`[data-transport="${transport}"]`);
  return {
    page, complaints,
    health: (transport) => finding(transport).getAttribute("data-health"),
    words: (transport) => finding(transport).innerText(),
    verdict: () => page.locator("#verdict").innerText(),
    close: async () => {
      await context.close();
      await proxy.close();
    },
  };
}

test("where nothing is in the way, everything works and WebSocket is best", async () => {
  const visit = await examine({}, 3);
  for (const transport of ["websocket", "sse", "longpoll", "poll", "page"]) assert.equal(await visit.health(transport), "good", await visit.words(transport));
  assert.match(await visit.verdict(), /All is well: WebSocket works/);
  assert.match(await visit.words("websocket"), /best here/);
  assert.equal(await visit.page.locator("[data-clock]").getAttribute("data-clock"), "good");
  const report = await visit.page.locator("#text").inputValue();
  assert.match(report, /OK {4}WebSocket/);
  assert.ok(!report.includes(gateway.token("ada").slice(0, 40)), "the report has the token in it");
  assert.equal(new URL(visit.page.url()).hash, "", "the token is gone from the address");
  await visit.page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await visit.page.getByRole("button", { name: "Copy the report" }).click();
  await visit.page.getByText("Copied.").waitFor();
  assert.equal(await visit.page.evaluate(() => navigator.clipboard.readText()), report);
  assert.deepEqual(visit.complaints, []);
  await visit.close();
});

test("a proxy that refuses upgrades is named, and SSE is best", async () => {
  const visit = await examine({ upgrades: false }, 3);
  assert.equal(await visit.health("websocket"), "bad");
  assert.match(await visit.words("websocket"), /refuses the upgrade[^]*426/);
  assert.equal(await visit.health("sse"), "good");
  assert.match(await visit.verdict(), /Use SSE/);
  await visit.page.getByText("What helps").first().click();
  assert.match(await visit.words("websocket"), /proxy_set_header Upgrade/);
  await visit.close();
});

test("a proxy that buffers is named, and long polls are best", async () => {
  const visit = await examine({ upgrades: false, buffer: 1 << 20 }, 3);
  assert.equal(await visit.health("sse"), "bad");
  assert.match(await visit.words("sse"), /buffered/);
  assert.equal(await visit.health("longpoll"), "good");
  assert.match(await visit.verdict(), /Use Long poll/);
  await visit.close();
});

test("a proxy that waits for a full buffer is told from one that never passes anything on", async () => {
  const visit = await examine({ upgrades: false, buffer: 4096 }, 3);
  assert.equal(await visit.health("sse"), "warn");
  assert.match(await visit.words("sse"), /until its buffer is full/);
  assert.match(await visit.verdict(), /Use Long poll/);
  await visit.close();
});

test("events that come in bunches are noticed", async () => {
  const visit = await examine({ bunch: 2500 }, 8);
  assert.equal(await visit.health("sse"), "warn", await visit.words("sse"));
  assert.match(await visit.words("sse"), /in bunches/);
  await visit.close();
});

test("a cut of what is idle is noticed, and short polls are best", async () => {
  const quiet = await startGateway(); // pings every 20 s, too seldom for this proxy
  const loud = gateway;
  gateway = quiet;
  try {
    const visit = await examine({ idle: 1500 }, 4);
    assert.equal(await visit.health("websocket"), "warn", await visit.words("websocket"));
    assert.match(await visit.words("websocket"), /cut after 1\.[3-9] s[^]*1006/);
    assert.equal(await visit.health("sse"), "warn", await visit.words("sse"));
    assert.equal(await visit.health("longpoll"), "bad", await visit.words("longpoll"));
    assert.match(await visit.verdict(), /Use Short poll/);
    await visit.close();
  } finally {
    gateway = loud;
    await quiet.stop();
  }
});

test("a wrong clock is told, and which way", async () => {
  const visit = await examine({ skew: 120_000 }, 3);
  const clock = visit.page.locator("[data-clock]");
  assert.equal(await clock.getAttribute("data-clock"), "bad");
  assert.match(await clock.innerText(), /This device's clock is 1(19|20)\.\d s behind the server's/);
  assert.match(await visit.verdict(), /All is well/); // of the transports
  await visit.close();
});

test("a cache that answers polls is noticed", async () => {
  const visit = await examine({ cache: true }, 3);
  assert.equal(await visit.health("poll"), "bad");
  assert.match(await visit.words("poll"), /cache/);
  await visit.close();
});

test("a token that the server refuses is told as that, and an expired one is not tried", async () => {
  const context = await browser.newContext({ locale: "en-GB" });
  const page = await context.newPage();
  await page.goto(`${gateway.url}/doctor?seconds=3#token=${gateway.token("ada", { scope: "publish" })}`);
  await page.locator("#begin").click();
  await page.locator("#report").waitFor({ timeout: 30_000 });
  assert.match(await page.locator('[data-transport="poll"]').innerText(), /The server refuses it: 403/);
  assert.match(await page.locator("#verdict").innerText(), /Nothing gets through/);
  await page.goto(`${gateway.url}/doctor#token=${gateway.token("ada", { ttl: -60 })}`);
  await page.getByText("The token has expired.").waitFor();
  await page.getByLabel("Your token").fill(`Bearer ${gateway.token(hostile)}`);
  await page.keyboard.press("Enter");
  await page.locator("#user").getByText(hostile).waitFor();
  assert.equal(await page.evaluate(() => "harmed" in window), false);
  await context.close();
});

test("axe finds nothing, in both themes, on a phone and in Chinese", async () => {
  for (const [colorScheme, manners] of [["light", {}], ["dark", { upgrades: false, buffer: 1 << 20 }]] as const) {
    const visit = await examine(manners, 3, { colorScheme, viewport: { width: 390, height: 800 }, bypassCSP: true, ...(colorScheme === "dark" ? { locale: "zh-CN" } : {}) });
    for (const details of await visit.page.locator("summary").all()) await details.click();
    await inspect(visit.page, colorScheme);
    if (colorScheme === "dark") assert.match(await visit.verdict(), /请使用 长轮询/);
    await visit.close();
  }
});

test("every text has its Chinese", async () => {
  const { chinese } = await import("../console/chinese");
  const texts = new Set<string>();
  const { readdirSync } = await import("node:fs");
  const folder = new URL("../console/", import.meta.url);
  for (const file of readdirSync(folder)) {
    const source = readFileSync(new URL(file, folder), "utf8");
    for (const found of source.matchAll(/\bt\("((?:[^"\\]|\\.)*)"/g)) texts.add((found[1] ?? "").replaceAll('\\"', '"'));
    for (const found of source.matchAll(/data-t>([^<]+)</g)) texts.add(found[1] ?? "");
  }
  assert.ok(texts.size > 250, `${texts.size} texts`);
  assert.deepEqual([...texts].filter((text) => !(text in chinese)), []);
  assert.deepEqual(Object.entries(chinese).filter(([english, text]) => {
    const slots = (one: string): string => [...one.matchAll(/\{\w+\}/g)].map((found) => found[0]).sort().join();
    return slots(english) !== slots(text);
  }), [], "the places for values differ");
});

test("the clock's offset is what all answers allow", () => {
  assert.deepEqual(skewOf([]), null);
  // The server is 250 ms ahead; its Date is cut to the second.
  const readings = [0, 300, 600, 900].map((asked) => ({ asked, answered: asked + 20, date: Math.floor((asked + 10 + 250) / 1000) * 1000 }));
  const skew = skewOf(readings);
  assert.ok(skew && skew.least <= 250 && skew.most >= 250 && skew.most - skew.least < 400, JSON.stringify(skew));
});

test("quantiles of a histogram lie between its bounds", () => {
  const bounds = [0.001, 0.01, 0.1];
  assert.equal(quantile(bounds, [0, 0, 0, 0], 0.5), null);
  assert.equal(quantile(bounds, [10, 0, 0, 0], 0.5), 0.0005);
  assert.equal(quantile(bounds, [5, 5, 0, 0], 1)?.toFixed(6), "0.010000");
  assert.equal(quantile(bounds, [0, 0, 0, 3], 0.5), 0.1); // beyond the last there is nothing to tell
  const half = quantile(bounds, [4, 4, 2, 0], 0.99) ?? 0;
  assert.ok(half > 0.09 && half < 0.1, String(half));
});
