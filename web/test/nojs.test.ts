// The page without script, in Chromium: with JavaScript disabled, and with it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { inspect } from "./axe";
import { startBrowser } from "./browser";
import { startGateway, type Gateway } from "./gateway";

let gateway: Gateway;
let browser: Browser;
before(async () => {
  [gateway, browser] = await Promise.all([startGateway("--poll-interval-busy", "2s", "--poll-interval-idle", "2s"), startBrowser()]);
});
after(async () => {
  await browser?.close();
  await gateway?.stop();
});

let users = 0;
interface Somebody {
  readonly user: string;
  readonly context: BrowserContext;
  readonly page: Page;
  raise(device: string, severity?: string): Promise<void>;
  groups(...groups: string[]): Promise<void>;
}

/** A user with a group of his own, who has logged in and sees his page. */
async function somebody(options: Parameters<Browser["newContext"]>[0] = {}): Promise<Somebody> {
  const user = `user${++users}`;
  const groups = async (...list: string[]) => assert.equal((await gateway.api("PUT", `/v1/users/${user}`, { groups: list })).status, 200);
  await groups(`crew-${user}`);
  const context = await browser.newContext(options);
  const page = await context.newPage();
  await page.goto(`${gateway.url}/inbox`);
  await page.fill("#token", gateway.token(user));
  await page.click("text=Log in >> visible=true");
  await page.waitForSelector("text=Inbox of");
  return {
    user, context, page, groups,
    raise: async (device, severity = "major") => {
      await gateway.api("PUT", `/v1/devices/${user}-${device}`, { groups: [`crew-${user}`] });
      const { status } = await gateway.api("POST", "/v1/alarms", { device: `${user}-${device}`, type: "fire", severity, message: `smoke at ${device}`, attrs: { c: "61" } });
      assert.equal(status, 202);
    },
  };
}

/** The devices that are marked, with the word. */
const marked = (page: Page) =>
  page.locator("tr.marked").evaluateAll((rows) => rows.map((row) => `${row.querySelector(".device")?.textContent?.split("-").at(-1)} ${row.querySelector("mark")?.textContent}`).sort());

for (const javaScriptEnabled of [false, true]) {
  test(`JavaScript ${javaScriptEnabled ? "enabled" : "disabled"}: refreshes, marks what is new, acknowledges, shows a gap`, async () => {
    const { page, context, user, raise, groups } = await somebody({ javaScriptEnabled });
    await page.waitForSelector("text=All is quiet");
    await raise("d1");
    await page.waitForSelector("tr.marked"); // by itself
    assert.deepEqual(await marked(page), ["d1 new"]);
    await page.waitForSelector("tr:not(.marked) >> text=smoke at d1"); // and only once
    assert.deepEqual(await marked(page), []);

    await page.click("text=Pause");
    await page.fill("tbody input[name=note] >> nth=0", "on my way");
    await page.click("input[value=Acknowledge]");
    await page.waitForSelector("text=(on my way)");
    await page.waitForSelector("text=paused"); // where it was
    await page.click("text=Resume");
    await raise("d2", "critical");
    await page.waitForSelector("tr.marked >> text=smoke at d2");
    await page.click("input[value=Acknowledge]"); // while it refreshes
    await page.waitForSelector(`text=by ${user}`);

    await page.click("text=Pause");
    const next = (await page.getAttribute("text=Resume", "href")) ?? "";
    await groups(`crew-${user}`, "another");
    await page.goto(`${gateway.url}${next}&pause=1`); // a gap is told on one page: this one stands still
    await page.waitForSelector("[role=alert] >> text=Your groups have changed");
    await page.click("text=Resume");
    await page.waitForSelector("text=(membership)", { state: "detached" }); // on the next refresh
    await context.close();
  });
}

test("with script it comes back to where it was, and leaves no trail", async () => {
  const { page, context, raise } = await somebody({ viewport: { width: 800, height: 300 } });
  for (let i = 0; i < 8; i++) await raise(`d${i}`);
  await page.waitForSelector("text=smoke at d7");
  await page.evaluate(() => window.scrollTo(0, 200));
  const first = page.url();
  await page.waitForURL((url) => url.href !== first);
  await page.waitForFunction(() => Math.abs(window.scrollY - 200) < 40);
  assert.ok((await page.evaluate(() => history.length)) <= 4, "each refresh leaves an entry in the history");
  await context.close();
});

test("with script a page that is in use stands still", async () => {
  const { page, context, raise } = await somebody();
  await raise("d1");
  await page.waitForSelector("tr.marked");
  await page.focus("text=History");
  await page.waitForSelector("text=waiting while something is open");
  const at = page.url();
  await page.evaluate(() => (document.activeElement as HTMLElement).blur());
  await page.waitForURL((url) => url.href !== at);
  await context.close();
});

test("with script what came waits for eyes that were elsewhere", async () => {
  const { page, context, raise } = await somebody();
  await context.addInitScript("Object.defineProperty(document, 'hidden', { configurable: true, get: function () { return !window.seen; } })");
  await page.waitForURL(/cursor=/);
  await page.reload(); // hidden from now on
  await raise("d1");
  await page.waitForSelector("tr.marked");
  const at = page.url();
  await page.waitForEvent("framenavigated");
  await page.waitForSelector("tr.marked");
  assert.equal(page.url(), at, "what nobody has seen is not new any more");
  assert.deepEqual(await marked(page), ["d1 new"]);
  await context.close();
});

test("with script it outlives a server that is away", async () => {
  const { page, context, raise } = await somebody();
  await gateway.kill();
  try {
    await page.waitForSelector("text=the server cannot be reached", { timeout: 20_000 });
  } finally {
    await gateway.start();
  }
  await raise("d1");
  await page.waitForSelector("text=smoke at d1", { timeout: 20_000 });
  await context.close();
});

test("nothing on it is against its own policy", async () => {
  const { page, context, raise } = await somebody();
  const said: string[] = [];
  page.on("console", (message) => said.push(message.text()));
  page.on("pageerror", (error) => said.push(String(error)));
  await raise("d1", "critical");
  await page.waitForSelector("tr.marked");
  assert.match((await page.getAttribute("link[rel=icon]", "href")) ?? "", /worst=critical$/);
  await page.click("text=Pause");
  await page.click("text=More to do");
  await page.click("text=History");
  await page.waitForSelector("text=What happened");
  assert.deepEqual(said, []);
  await context.close();
});

for (const [colorScheme, width] of [["light", 1280], ["light", 390], ["dark", 1280]] as const) {
  test(`axe finds nothing, ${colorScheme}, ${width} px wide`, async () => {
    const { page, context, user, raise, groups } = await somebody({ bypassCSP: true, colorScheme, viewport: { width, height: 900 } });
    await inspect(page, "nothing");
    for (const severity of ["critical", "major", "minor", "warning", "indeterminate"]) await raise(`d-${severity}`, severity);
    await gateway.api("POST", "/v1/notices", { to: { users: [user] }, title: "Tonight", body: "A minute of silence." });
    await page.waitForSelector("text=Tonight");
    await page.click("text=Pause");
    await page.click("tr.major >> input[value=Acknowledge]");
    await page.waitForSelector(`text=by ${user}`);
    await inspect(page, "paused");
    await page.click("tr.critical >> text=More to do");
    await inspect(page, "with everything to do");
    await page.click("tr.critical >> text=History");
    await page.waitForSelector("text=What happened");
    await inspect(page, "an alarm");
    await page.click("text=Back to the inbox");
    await page.click("text=Select");
    await page.waitForSelector("input[type=checkbox]");
    await inspect(page, "selecting");
    await page.goto(page.url().replace("select=1", "pause=1"));
    const next = (await page.getAttribute("text=Resume", "href")) ?? "";
    await Promise.all(Array.from({ length: 12 }, (_, i) => raise(`f${i}`, "minor")));
    await groups(`crew-${user}`, `more-${colorScheme}`);
    await page.goto(`${gateway.url}${next}&pause=1`);
    await page.waitForSelector("text=Flood");
    await inspect(page, "a gap and a flood");
    await page.goto(`${gateway.url}/inbox/alarm?id=none`);
    await inspect(page, "an error");
    await context.clearCookies();
    await page.goto(`${gateway.url}/inbox`);
    await inspect(page, "the login");
    await context.close();
  });
}
