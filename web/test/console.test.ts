// The console: in a real browser, at the real gateway.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Browser, BrowserContext, BrowserContextOptions, Page } from "playwright-core";
import { inspect } from "./axe";
import { startBrowser } from "./browser";
import { startGateway, type Gateway } from "./gateway";
import { eventually } from "./wait";

const hostile = `"><img src=x onerror="window.harmed=1">`;
const panels = ["overview", "people", "connections", "directory", "directory?show=users", "directory?show=import", "send", "explain", "revoke", "letters"];

let browser: Browser;
let gateway: Gateway;
let admin: string;

before(async () => {
  [browser, gateway] = await Promise.all([startBrowser(), startGateway()]);
  admin = gateway.token("ops", { scope: "inbox publish admin", groups: ["*"] });
});
after(async () => {
  await browser.close();
  await gateway.stop();
});

interface Visit {
  readonly page: Page;
  readonly context: BrowserContext;
  /** Violations of the page's policy, and errors. */
  readonly complaints: string[];
  go(panel: string): Promise<void>;
}

async function visit(token: string, panel: string, options: BrowserContextOptions = {}): Promise<Visit> {
  const context = await browser.newContext({ locale: "en-GB", viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error" && !message.text().includes("Failed to load resource")) complaints.push(message.text());
  });
  await page.goto(`${gateway.url}/console#token=${token}`);
  const go = async (to: string): Promise<void> => {
    await page.goto(`${gateway.url}/console#${to}`);
    await page.locator("#panel h2").first().waitFor();
  };
  if (panel) await go(panel);
  return { page, context, complaints, go };
}

/** Reads somebody's events until the function returned is called. */
async function listen(user: string, ...groups: string[]): Promise<{ stop(): void; readonly text: () => string }> {
  const over = new AbortController();
  const answer = await fetch(`${gateway.url}/v1/inbox/sse`, { headers: { Authorization: `Bearer ${gateway.token(user, { groups })}` }, signal: over.signal });
  let text = "";
  void (async () => {
    for await (const part of answer.body ?? []) text += Buffer.from(part).toString();
  })().catch(() => undefined);
  return { stop: () => over.abort(), text: () => text };
}

const cell = (page: Page, name: string) => page.getByRole("row").filter({ hasText: name });

test("the overview shows who is there, how much happens and how fast it gets to people", async () => {
  await gateway.api("PUT", "/v1/devices/pump", { groups: ["crew"] });
  const ada = await listen("ada", "crew");
  const { page, complaints, context } = await visit(admin, "overview");
  const tile = (name: string) => page.locator(".tiles div").filter({ hasText: name }).locator("dd");
  await eventually("one user is online", async () => (await tile("Users online").innerText()) === "1");
  await eventually("rates are told", async () => (await tile("Changes / s").innerText()) !== "–");
  for (let i = 0; i < 20; i++) await gateway.api("POST", "/v1/alarms", { device: "pump", type: "leak", severity: "major", qualifier: String(i) });
  const major = page.locator("tbody tr", { hasText: "SSE" }).locator("td").nth(1);
  await eventually("latencies of major alarms over SSE are told", async () => /ms \/ /.test(await major.innerText()));
  assert.equal(await page.locator(".chart canvas").count(), 6);
  assert.match((await page.locator(".plot").nth(2).getAttribute("aria-label")) ?? "", /Connections, by transport: now WebSocket 0, SSE 1/);
  await page.getByLabel("By severity, over").selectOption("websocket");
  await eventually("over WebSocket nobody waits", async () => /major –/.test(await page.locator(".chart").nth(4).innerText()));
  await page.getByLabel("By severity, over").selectOption("sse");
  await eventually("over SSE somebody does", async () => /major [\d.]+ ms/.test((await page.locator(".chart").nth(4).innerText()).replaceAll("\n", " ")));
  assert.deepEqual(complaints, []);
  ada.stop();
  await context.close();
});

test("who is online is listed with pollers, and can be disconnected", async () => {
  const bob = await listen("bob", "crew");
  await fetch(`${gateway.url}/v1/inbox`, { headers: { Authorization: `Bearer ${gateway.token("carla")}` } });
  const { page, context } = await visit(admin, "people");
  await cell(page, "bob").getByText("SSE").waitFor();
  await cell(page, "carla").getByText("Short poll").waitFor();
  await page.getByLabel("User begins with").fill("b");
  await eventually("carla is filtered out", async () => (await cell(page, "carla").count()) === 0);
  await cell(page, "bob").getByRole("link", { name: "Connections" }).click();
  await page.getByText("1 connections; the newest entry").waitFor();
  await page.getByRole("button", { name: "Disconnect bob" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  assert.ok(!bob.text().includes("bye"));
  await page.getByRole("button", { name: "Disconnect bob" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Disconnect" }).click();
  await page.getByText("1 connections of bob were ended.").waitFor();
  await eventually("bob is told", () => bob.text().includes('"reason":"kicked"'));
  await page.getByText("There are no connections.").waitFor();
  await context.close();
});

test("the directory is searched, edited and imported", async () => {
  for (let i = 0; i < 120; i++) await gateway.api("PUT", `/v1/devices/van-${String(i).padStart(3, "0")}`, { groups: ["fleet"] });
  const { page, go, context } = await visit(admin, "directory");
  await page.getByLabel("Name begins with").fill("van-");
  await page.getByText("120 in all").waitFor();
  await page.getByRole("button", { name: "Show more" }).click();
  await cell(page, "van-119").waitFor();
  assert.equal(await page.locator("tbody tr").count(), 120);
  await page.getByLabel("Name begins with").fill("van-007");
  await page.getByText("1 in all").waitFor();
  await page.getByRole("button", { name: "Edit van-007" }).click();
  await page.getByLabel("Groups, with commas between").fill("night, fleet");
  await page.keyboard.press("Enter");
  await cell(page, "van-007").getByText("night").waitFor();
  assert.deepEqual((await gateway.api("GET", "/v1/devices/van-007")).body, { groups: ["fleet", "night"] });
  await page.getByRole("button", { name: "Delete van-007" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByText("Nothing begins like this.").waitFor();

  await page.getByRole("button", { name: "Add a device" }).click();
  await page.getByRole("textbox", { name: "Device", exact: true }).fill("new/1");
  await page.getByLabel("Groups, with commas between").fill("x".repeat(65));
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("dialog").getByText(/out of bounds/).waitFor(); // and the dialog stays
  await page.getByLabel("Groups, with commas between").fill("fleet");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("dialog").waitFor({ state: "hidden" }); // nothing behind it takes letters
  await page.getByLabel("Name begins with").fill("new/");
  await cell(page, "new/1").waitFor();

  await go("directory?show=import");
  await page.getByLabel("Lines", { exact: true }).fill(`{"user":"dora","groups":["fleet"]}\n{"device":"${"y".repeat(65)}","groups":["fleet"]}\nno json\n`);
  await page.getByRole("button", { name: "Import" }).click();
  await page.getByText("2 lines were refused, the others were taken.").waitFor();
  await cell(page, "3").getByText(/invalid character/).waitFor();
  await page.getByLabel("or a file").setInputFiles({ name: "more.jsonl", mimeType: "text/plain", buffer: Buffer.from('{"user":"emil","groups":["fleet"]}\n') });
  await page.getByRole("button", { name: "Import" }).click();
  await page.getByText("All lines were taken.").waitFor();
  await page.getByRole("link", { name: "Users" }).click();
  await page.getByLabel("In the group").fill("fleet");
  await page.getByText("2 in all").waitFor();
  await cell(page, "emil").waitFor();
  await context.close();
});

test("a test alarm is sent, explained and reaches who is there", async () => {
  await gateway.api("PUT", "/v1/devices/test", { groups: ["crew"] });
  await gateway.api("PUT", "/v1/users/fred", { groups: ["crew"] });
  const fred = await listen("fred");
  const { page, context } = await visit(admin, "send");
  await page.getByLabel("Severity").selectOption("critical");
  await page.getByRole("button", { name: "Send the alarm" }).click();
  await page.getByText(/Stored: raised\. test\.test/).waitFor();
  await eventually("the alarm has come", () => fred.text().includes("Nothing has happened"));
  await page.getByRole("link", { name: "Whom does it reach?" }).click();
  await eventually("that is known", async () => {
    await page.getByRole("button", { name: "Explain" }).click();
    return (await cell(page, "fred").locator("time").count()) > 0;
  });
  await page.getByLabel("User").fill("fred");
  await page.getByRole("button", { name: "Explain" }).click();
  await page.getByText("It has reached him.").waitFor();
  assert.ok((await page.locator(".steps li.ok").count()) >= 7);
  await page.getByLabel("User").fill("nobody");
  await page.getByRole("button", { name: "Explain" }).click();
  await page.getByText("He has no group in common with it").waitFor();
  await page.locator(".steps li.stop").first().waitFor();

  await page.getByRole("link", { name: "Send", exact: true }).click();
  await page.getByRole("combobox", { name: /^To/ }).selectOption("users");
  await page.getByLabel("Names, with commas between").fill("fred, gina");
  await page.getByLabel("Title").fill("Tea is ready");
  await page.getByRole("button", { name: "Send the notice" }).click();
  await page.getByText("Stored for 2 receivers.").waitFor();
  await eventually("the notice has come", () => fred.text().includes("Tea is ready"));
  fred.stop();
  await context.close();
});

test("tokens are taken back, and dead letters shown", async () => {
  const gina = await listen("gina");
  const { page, go, context } = await visit(admin, "revoke");
  await page.getByLabel("Name").fill("gina");
  await page.getByRole("button", { name: "Revoke" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await page.getByText("Taken back: gina.").waitFor();
  await eventually("her stream has ended", () => gina.text().includes('"reason":"revoked"'));

  await go("letters");
  await page.getByText("There are none.").waitFor();
  await gateway.api("POST", "/v1/ingest/alertmanager", { version: "4", alerts: [{ status: "odd", fingerprint: "x", labels: { alertname: hostile, instance: "web-1" }, annotations: {} }] });
  await page.getByRole("button", { name: "Look again" }).click();
  await page.getByText(/want firing or resolved/).click();
  await page.locator("pre").getByText("fingerprint").waitFor();
  assert.equal(await page.evaluate(() => "harmed" in window), false);
  await context.close();
});

test("whoever is no administrator is told so, and whoever nobody knows is asked for a token", async () => {
  const { page, context } = await visit(gateway.token(hostile), "");
  await page.getByRole("heading", { name: "The console is for administrators" }).waitFor();
  assert.ok((await page.locator("#refused").innerText()).includes(hostile));
  assert.equal(await page.locator("#panel").isVisible(), false);
  await inspect(page, "the refusal");
  await page.getByRole("button", { name: "Use another token" }).click();
  await page.getByLabel("Token of an administrator").fill("nonsense");
  await page.keyboard.press("Enter");
  await page.getByText("The token is not accepted.").waitFor();
  await page.getByLabel("Token of an administrator").fill(admin);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  await page.reload(); // the tab remembers
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByLabel("Token of an administrator").waitFor();
  await page.reload();
  await page.getByLabel("Token of an administrator").waitFor();
  await context.close();
});

test("an administrator whose token is taken back is asked for another one", async () => {
  const { page, context } = await visit(gateway.token("temp", { scope: "admin", jti: "temp-1" }), "people");
  await gateway.api("POST", "/v1/revocations", { jti: "temp-1" });
  await page.getByText(/The token is not accepted any more/).waitFor({ timeout: 15_000 });
  assert.equal(await page.locator("#panel").isVisible(), false);
  await context.close();
});

test("texts of others are texts, wherever they stand", async () => {
  await gateway.api("PUT", `/v1/devices/${encodeURIComponent(hostile)}`, { groups: [hostile] });
  await gateway.api("PUT", `/v1/users/${encodeURIComponent(hostile)}`, { groups: [hostile] });
  const stream = await listen(hostile, hostile);
  const sent = (await gateway.api("POST", "/v1/alarms", { device: hostile, type: "t", severity: "major", message: hostile })).body as { results: { id: string }[] };
  const { page, go, complaints, context } = await visit(admin, "");
  for (const panel of ["people", "connections", "directory", "directory?show=users", `explain?alarm=${encodeURIComponent(sent.results[0]?.id ?? "")}&user=${encodeURIComponent(hostile)}`]) {
    await go(panel);
    await page.getByText(hostile).first().waitFor();
  }
  await go("directory");
  await page.getByRole("button", { name: `Edit ${hostile}` }).click();
  await page.getByRole("dialog").waitFor();
  assert.equal(await page.evaluate(() => "harmed" in window || document.querySelector("main img, dialog img") !== null), false);
  assert.deepEqual(complaints, []);
  stream.stop();
  await context.close();
});

test("all can be done with the keyboard", async () => {
  const { page, context } = await visit(admin, "overview");
  const focused = () => page.evaluate(() => document.activeElement?.textContent ?? "");
  await page.locator("body").click({ position: { x: 5, y: 800 } });
  for (let i = 0; (await focused()) !== "Revoke"; i++) {
    assert.ok(i < 30, "the panels cannot be reached");
    await page.keyboard.press("Tab");
  }
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Take tokens back" }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement?.id), "panel"); // whence Tab goes on
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement?.tagName), "SELECT");
  await page.keyboard.press("Tab");
  await page.keyboard.type("henry");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  await eventually("the dialog is gone", async () => (await page.getByRole("dialog").count()) === 0);
  assert.equal(await page.getByText("Taken back").count(), 0);
  await context.close();
});

for (const [colorScheme, size, locale] of [["light", { width: 1280, height: 900 }, "en-GB"], ["dark", { width: 390, height: 800 }, "zh-CN"]] as const) {
  test(`axe finds nothing in any panel: ${colorScheme}, ${size.width} px, ${locale}`, async () => {
    const stream = await listen("ida", "crew");
    const { page, go, context } = await visit(admin, "", { colorScheme, viewport: size, locale });
    for (const panel of panels) {
      await go(panel);
      if (panel === "overview") await page.locator("canvas").nth(5).waitFor({ state: "attached" });
      if (panel === "people" || panel.startsWith("directory?show=users")) await page.locator("tbody tr").first().waitFor();
      await inspect(page, panel);
    }
    await go("directory");
    await page.locator("tbody button").first().click();
    await page.getByRole("dialog").waitFor();
    await inspect(page, "a dialog");
    stream.stop();
    await context.close();
  });
}
