// What the client's manual shows is run, in a page and against the real gateway.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Browser } from "playwright-core";
import { startBrowser } from "./browser.js";
import { startGateway, type Gateway } from "./gateway.js";

const web = join(import.meta.dirname, "..");
const manual = readFileSync(join(web, "client", "README.md"), "utf8");

/** The only block of a language in the manual. */
function block(language: string): string {
  const found = [...manual.matchAll(/^```(\w+)\n([^]*?)^```/gm)].filter((match) => match[1] === language);
  assert.equal(found.length, 1, language);
  return found[0]?.[2] ?? "";
}

let gateway: Gateway;
let browser: Browser;
before(async () => {
  [gateway, browser] = await Promise.all([startGateway(), startBrowser()]);
});
after(async () => {
  await browser.close();
  await gateway.stop();
});

test("the page at the beginning, and what it says of errors", { timeout: 60_000 }, async () => {
  const context = await browser.newContext({ bypassCSP: true });
  const page = await context.newPage();
  const token = gateway.token("anna", { groups: ["*"] });
  await page.route("**/my/token", (route) => route.fulfill({ body: token }));
  await page.route("**/assets/client/tocsin-client.js", (route) =>
    route.fulfill({ contentType: "text/javascript", body: readFileSync(join(web, "dist", "client", "tocsin-client.js"), "utf8") }));
  await page.goto(`${gateway.url}/v1/transports`);
  const script = /<script type="module">([^]*)<\/script>/.exec(block("html"))?.[1] ?? "";
  const states: string[] = [];
  page.on("console", (line) => states.push(line.text()));
  await page.addScriptTag({ type: "module", content: `${script.replaceAll("https://alarms.example.com", gateway.url)}; window.inbox = inbox;` });
  await page.waitForFunction(() => "inbox" in window);
  const { status } = await gateway.api("POST", "/v1/alarms", { device: "d1", type: "t", severity: "major" });
  assert.equal(status, 202);
  await page.waitForFunction(() => document.title === "(1) alarms");
  await page.waitForFunction("window.inbox.state.name === 'live'");
  assert.ok(states.includes("live"));

  const told = await page.evaluate(`(async () => {
    const told = [];
    const alert = (text) => told.push(text), retryLater = () => told.push("later"), id = "nobody.t._.1.x", inbox = window.inbox;
    ${block("js")}
    return told;
  })()`);
  assert.equal((told as string[]).length, 1);
  assert.notEqual((told as string[])[0], "later");
});
