// <tocsin-inbox> in the page at /, as a user works with it: clicks and keys, against
// the real gateway.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Browser } from "playwright-core";
import { startBrowser } from "./browser.js";
import { startGateway, type Gateway } from "./gateway.js";
import { alarmOf, openStage, type Stage } from "./stage.js";
import { eventually } from "./wait.js";

let gateway: Gateway;
let browser: Browser;

before(async () => {
  [gateway, browser] = await Promise.all([startGateway(), startBrowser()]);
});
after(async () => {
  await browser?.close();
  await gateway?.stop();
});

/** A test with a stage of its own, at whose end the page has had no errors. */
function staged(name: string, run: (stage: Stage) => Promise<void>): void {
  test(name, { timeout: 60_000 }, async () => {
    const stage = await openStage(gateway, browser);
    try {
      await run(stage);
      assert.deepEqual(stage.errors, []);
    } finally {
      await stage.close();
    }
  });
}

const dialog = (stage: Stage) => stage.page.locator("dialog[open]");

staged("what is open is listed by urgency; what comes is shown, counted and said", async (stage) => {
  const { page, publish } = stage;
  await publish({ device: "a1", severity: "warning" }, { device: "a2", severity: "critical", message: "It burns" }, { device: "a3", severity: "minor" });
  await stage.enter();
  await stage.shows("a2", "a3", "a1");
  const critical = stage.line("a2");
  assert.equal(await critical.locator(".severity .word").textContent(), "critical");
  assert.equal(await critical.locator(".severity svg path").count(), 1);
  const shapes = await page.locator(".lines .severity path").evaluateAll((all) => all.map((one) => one.getAttribute("d")));
  assert.equal(new Set(shapes).size, 3, "each severity has a shape of its own");
  await eventually("the counters", async () => (await page.locator(".counter b").allTextContents()).join(" ") === "1 0 1 1 0");
  await page.locator(".bell", { hasText: "3 unread" }).waitFor();
  await eventually("the title", async () => (await page.title()) === "1 critical · 3 unread · Tocsin");

  await new Promise((settled) => setTimeout(settled, 1600)); // what comes at once is no news
  await publish({ device: "a4", severity: "critical", message: "It burns, too" });
  await stage.shows("a4", "a2", "a3", "a1");
  await page.locator('[data-live="assertive"]', { hasText: "t on a4. It burns, too" }).waitFor();
  await publish({ device: "a5", severity: "major" });
  await page.locator('[data-live="polite"]', { hasText: "1 new alarm, the worst major" }).waitFor();
  await page.locator('[data-do="read"]').click();
  await page.locator(".bell", { hasText: "0 unread" }).waitFor();
});

staged("acknowledging: one, the selected, all that are shown", async (stage) => {
  const { page, publish } = stage;
  await publish(...["b1", "b2", "b3", "b4", "b5", "b6"].map((device) => ({ device })));
  await stage.enter();
  await stage.line("b1").locator('[data-do="ack"]').click();
  await stage.line("b1").locator(".is-acked", { hasText: `acked by user-${stage.group}` }).waitFor();
  assert.equal(await stage.line("b1").locator(".shape.full").count(), 0, "its sign is an outline now");
  assert.equal((await alarmOf(gateway, "b1"))["acked"], true);

  await stage.line("b2").locator('[data-do="select"]').click();
  await stage.line("b3").locator('[data-do="select"]').click();
  await page.locator(".says", { hasText: "2 selected" }).waitFor();
  await page.locator('[data-do="ack-selected"]').click();
  await stage.line("b2").locator(".is-acked").waitFor();
  await stage.line("b3").locator(".is-acked").waitFor();
  assert.equal((await alarmOf(gateway, "b4"))["acked"], false);
  await page.locator('[data-do="deselect"]').click();

  await page.locator('[data-do="search"]').fill("b5");
  await stage.shows("b5");
  await page.locator('[data-do="ack-all"]').click();
  await dialog(stage).locator('[data-do="note"]').fill("all of them");
  await dialog(stage).locator('[data-do="yes"]').click();
  await stage.line("b5").locator(".is-acked").waitFor();
  assert.equal((await alarmOf(gateway, "b5"))["ack_note"], "all of them");
  for (const device of ["b4", "b6"]) assert.equal((await alarmOf(gateway, device))["acked"], false, "what is not shown is not acknowledged");
});

staged("nothing moves under a pressed button: the click meets the alarm that was aimed at", async (stage) => {
  const { page, publish } = stage;
  await publish({ device: "p1" }, { device: "p2" });
  await stage.enter();
  await stage.shows("p2", "p1");
  await stage.line("p2").locator('[data-do="ack"]').hover();
  await page.mouse.down();
  await publish({ device: "p0", severity: "critical" });
  await eventually("the news is counted", async () => (await page.locator(".counter.critical b").textContent()) === "1");
  assert.deepEqual(await page.locator(".lines .device").allTextContents(), ["p2", "p1"]);
  await page.mouse.up();
  await stage.line("p2").locator(".is-acked").waitFor();
  await stage.shows("p0", "p1", "p2");
  assert.equal((await alarmOf(gateway, "p0"))["acked"], false);
});

staged("the detail has everything, every command, and the history", async (stage) => {
  const { page, publish } = stage;
  await publish({ device: "c1", type: "disk_full", qualifier: "data", message: "96 % full", attrs: { free_gib: "11" } });
  await stage.enter();
  await stage.line("c1").locator(".name").click();
  const detail = page.locator("dialog.detail");
  for (const text of ["disk_full", "c1", "96 % full", "free_gib", "11", "data"]) await detail.getByText(text, { exact: true }).first().waitFor();
  await detail.locator(".history li", { hasText: "raised" }).waitFor();

  await detail.locator('[data-do="comment"]').click();
  const question = page.locator("dialog.question");
  assert.equal(await question.locator('[data-do="yes"]').isDisabled(), true, "a comment needs words");
  await question.locator('[data-do="note"]').fill("Old backups can go");
  await question.locator('[data-do="yes"]').click();
  await detail.locator(".history q", { hasText: "Old backups can go" }).waitFor();

  await detail.locator('[data-do="ack"]').click();
  await detail.locator(".history li", { hasText: "acknowledged" }).waitFor();
  await detail.locator('[data-do="unack"]').click();
  await detail.locator(".history li", { hasText: "acknowledgement taken back" }).waitFor();

  await detail.locator('[data-do="shelve"]').click();
  await question.getByText("8 hours").click();
  await question.locator('[data-do="yes"]').click();
  await detail.getByRole("button", { name: "Unshelve" }).waitFor();
  const until8 = Date.parse(String((await alarmOf(gateway, "c1"))["shelved_until"]));
  assert.ok(Math.abs(until8 - Date.now() - 8 * 3_600_000) < 60_000);
  await detail.getByRole("button", { name: "Unshelve" }).click();
  await detail.getByRole("button", { name: "Shelve", exact: true }).waitFor();

  await detail.locator('[data-do="clear"]').click();
  await question.locator('[data-do="note"]').fill("Swapped the disk");
  await question.locator('[data-do="yes"]').click();
  await detail.locator(".history q", { hasText: "Swapped the disk" }).waitFor();
  assert.equal(await detail.locator('[data-do="clear"]').count(), 0, "what is over cannot be cleared");
  await page.keyboard.press("Escape");
  await detail.waitFor({ state: "detached" });
  await stage.line("c1").locator(".is-over", { hasText: "cleared" }).waitFor();
});

staged("filters: severity, state, text, device, group, type; and they clear", async (stage) => {
  const { page, publish } = stage;
  await publish({ device: "d1", type: "fire", severity: "critical", attrs: { zone: "Kitchen" } }, { device: "d2", type: "door", severity: "minor", message: "Door open" }, { device: "d3", type: "door" }, { device: "other-d4", type: "door" });
  await publish({ device: "d5", state: "raised", type: "over" }, { device: "d5", type: "over", state: "cleared" });
  await stage.enter();
  const reset = () => page.locator('[data-do="reset"]').click();
  const all = () => stage.shows("d1", "other-d4", "d3", "d2", "d5");
  await all();
  await page.locator(".counter.minor").click();
  await stage.shows("d2");
  await page.locator(".counter.critical").click();
  await stage.shows("d1", "d2");
  await reset();
  await page.locator('[data-do="search"]').fill("kitchen");
  await stage.shows("d1");
  await reset();
  await page.locator('[data-do="device"]').fill("oth");
  await stage.shows("other-d4");
  await reset();
  await page.locator('[data-do="type"]').selectOption("fire");
  await stage.shows("d1");
  await reset();
  await page.locator('[data-do="group"]').selectOption(stage.group);
  await all();
  await page.locator('[data-do="state"]').selectOption("active");
  await stage.shows("d1", "other-d4", "d3", "d2");
  await page.locator('[data-do="search"]').fill("nothing like it");
  await page.locator(".empty", { hasText: "No alarm fits the filters." }).waitFor();
  await page.keyboard.press("Escape");
  await all();
  await page.locator('[data-do="sort"]').selectOption("newest");
  await stage.shows("d5", "other-d4", "d3", "d2", "d1");
});

staged("shelved alarms are set aside, and found again", async (stage) => {
  const { page, publish } = stage;
  await publish({ device: "e1" }, { device: "e2" });
  await stage.enter();
  await stage.line("e1").locator('[data-do="shelve"]').click();
  await dialog(stage).locator('[data-do="yes"]').click();
  await stage.shows("e2");
  await page.locator(".foot", { hasText: "1 shelved" }).waitFor();
  await page.locator('[data-do="state"]').selectOption("shelved");
  await stage.shows("e1");
  await stage.line("e1").locator('[data-do="shelve"]').click();
  await stage.shows();
  await page.locator('[data-do="state"]').selectOption("open");
  await eventually("both are back", async () => (await stage.lines().count()) === 2);
});

staged("older alarms are loaded, those that ended long before", async (stage) => {
  const { page, publish } = stage;
  await publish(...Array.from({ length: 250 }, (_, i) => ({ device: `f${i}`, kind: "momentary" })), { device: "f-open" });
  const { body } = await gateway.api("GET", `/v1/alarms?state=all&group=${stage.group}&limit=1000`);
  const ids = (body as { alarms: { id: string; device: string }[] }).alarms.filter(({ device }) => device !== "f-open").map(({ id }) => id);
  for (let at = 0; at < ids.length; at += 200) await gateway.api("POST", "/v1/alarms/ack", { ids: ids.slice(at, at + 200) });
  await stage.enter();
  await stage.shows("f-open");
  await page.locator('[data-do="older"]').click();
  await page.locator(".foot", { hasText: "200 shown" }).waitFor();
  await page.locator('[data-do="older"]').click();
  await page.locator(".foot", { hasText: "251 shown" }).waitFor();
  await eventually("there are no more", () => page.locator('[data-do="older"]').isDisabled());
  await stage.line("f-open").locator('[data-do="ack"]').click();
  await publish({ device: "f-open", state: "cleared" });
  await page.locator(".foot", { hasText: "251 shown of 0 open" }).waitFor();
  await page.locator('[data-do="state"]').selectOption("open");
  await page.locator(".empty", { hasText: "All is quiet." }).waitFor();
});

staged("everything goes by keyboard, and the help says how", async (stage) => {
  const { page, publish } = stage;
  await publish({ device: "h1", severity: "critical" }, { device: "h2" }, { device: "h3", severity: "minor" });
  await stage.enter();
  await stage.shows("h1", "h2", "h3");
  const focused = () => page.evaluate(() => document.querySelector("tocsin-inbox")?.shadowRoot?.activeElement?.querySelector(".device")?.textContent);
  const at = (device: string) => eventually(`the focus is on ${device}`, async () => (await focused()) === device);
  await page.locator('[role="row"][tabindex="0"]').focus();
  await at("h1");
  await page.keyboard.press("ArrowDown");
  await at("h2");
  await page.keyboard.press("End");
  await at("h3");
  await page.keyboard.press("k");
  await at("h2");
  assert.equal(await page.locator('.lines [role="row"][tabindex="0"]').count(), 1, "one line is in the order of Tab");
  await page.keyboard.press("a");
  await stage.line("h2").locator(".is-acked").waitFor();
  await at("h2"); // it went down, and the focus with it
  await page.keyboard.press("u");
  await stage.line("h2").locator(".is-unacked").waitFor();
  await at("h2"); // and up again
  await page.keyboard.press("c");
  await page.keyboard.type("by keys");
  await page.keyboard.press("Control+Enter");
  await stage.line("h2").locator(".chip", { hasText: "1" }).waitFor();
  await at("h2");
  await page.keyboard.press("Space");
  await page.locator(".says", { hasText: "1 selected" }).waitFor();
  assert.equal(await stage.line("h2").getAttribute("aria-selected"), "true");
  await page.keyboard.press("Control+a");
  await page.locator(".says", { hasText: "3 selected" }).waitFor();
  await page.keyboard.press("Escape");
  await page.locator(".says", { hasText: "3 alarms" }).waitFor();
  await page.keyboard.press("Enter");
  await page.locator("dialog.detail").waitFor();
  await page.keyboard.press("Escape");
  await at("h2");
  await page.keyboard.press("/");
  await page.keyboard.type("a?m");
  await stage.shows();
  assert.equal(await page.locator('[data-do="search"]').inputValue(), "a?m", "letters that one types are no commands");
  await page.keyboard.press("Escape");
  await stage.shows("h1", "h2", "h3");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("?");
  await page.locator("dialog.help-dialog kbd", { hasText: "Shift A" }).waitFor();
  await page.keyboard.press("Escape");
  await page.keyboard.press("Shift+A");
  await page.locator("dialog.question[open]").waitFor();
  await page.keyboard.press("Control+Enter");
  await eventually("all are acknowledged", async () => (await page.locator(".is-acked").count()) === 3);
});

staged("a notice is shown until it is read, here and later", async (stage) => {
  const { page } = stage;
  await stage.enter();
  const sent = await gateway.api("POST", "/v1/notices", { to: { groups: [stage.group] }, title: "Maintenance at 03:00", body: "Expect a minute of silence." });
  assert.ok(sent.status === 200 || sent.status === 202, String(sent.status));
  await page.locator(".banner.notice", { hasText: "Maintenance at 03:00" }).waitFor();
  await page.locator('[data-do="notice"]').click();
  await page.locator(".banner.notice").waitFor({ state: "hidden" });
  await page.reload();
  await page.locator(".empty", { hasText: "All is quiet." }).waitFor();
  assert.equal(await page.locator(".banner.notice").isVisible(), false);
});

staged("in a flood lesser alarms are one line a group and type; the worse never", async (stage) => {
  const { page, publish } = stage;
  await publish({ device: "k-c", severity: "critical" }, { device: "k-m" }, ...Array.from({ length: 14 }, (_, i) => ({ device: `k${i}`, type: "icing", severity: i % 2 ? "minor" : "warning" })), { device: "k-x", type: "alone", severity: "minor" });
  await stage.enter();
  await page.locator(".banner.flood", { hasText: "Flood." }).waitFor();
  await eventually("four lines", async () => (await stage.lines().count()) === 4);
  const fold = page.locator(".line.fold");
  await fold.getByText("14 × icing").waitFor();
  await page.locator('[data-do="fold"]').click();
  await eventually("each is shown", async () => (await stage.lines().count()) === 18);
  await page.locator('[data-do="fold"]').click();
  await eventually("and folded again", async () => (await stage.lines().count()) === 4);
  await fold.locator('[data-do="ack"]').click();
  await fold.locator(".is-acked").waitFor();
  assert.equal((await alarmOf(gateway, "k7"))["acked"], true);
  assert.equal((await alarmOf(gateway, "k-x"))["acked"], false);
});

staged("a gap is told until it is understood, and the list starts over", async (stage) => {
  const { page, publish } = stage;
  const user = `user-${stage.group}`;
  await gateway.api("PUT", `/v1/users/${user}`, { groups: ["gap-extra"] });
  await publish({ device: "m1" });
  await gateway.api("POST", "/v1/directory", JSON.stringify({ device: "m2", groups: ["gap-extra"] }));
  await gateway.api("POST", "/v1/alarms", { device: "m2", type: "t", severity: "minor" });
  await stage.enter();
  await stage.shows("m1", "m2");
  await gateway.api("PUT", `/v1/users/${user}`, { groups: ["gap-none"] });
  await page.locator(".banner.gap", { hasText: "Your groups have changed." }).waitFor();
  await stage.shows("m1");
  await page.locator('[data-do="gap"]').click();
  await page.locator(".banner.gap").waitFor({ state: "hidden" });
});

staged("what is refused is told, and goes when it is closed", async (stage) => {
  const { page, publish } = stage;
  await publish({ device: "n1" });
  await stage.enter();
  await page.route("**/v1/alarms/**", (route) => route.abort());
  await stage.line("n1").locator('[data-do="ack"]').click();
  await page.locator(".banner.problem", { hasText: "That did not work." }).waitFor();
  await stage.line("n1").locator(".is-unacked").waitFor();
  await page.locator('[data-do="problem"]').click();
  await page.locator(".banner.problem").waitFor({ state: "hidden" });
  await page.unroute("**/v1/alarms/**");
  await stage.line("n1").locator('[data-do="ack"]').click();
  await stage.line("n1").locator(".is-acked").waitFor();
});
