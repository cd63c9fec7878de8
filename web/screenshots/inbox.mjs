// Pictures of the inbox. Run it as `node --import tsx screenshots/inbox.mjs [folder]`,
// or call shoot from another script.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { startBrowser } from "../test/browser.ts";
import { startGateway } from "../test/gateway.ts";
import { directory, events, samples } from "../test/sample.ts";

/** What is taken: its name, how the browser looks, and what is done first. */
const pictures = [
  { name: "inbox", options: { colorScheme: "light" } },
  { name: "inbox-dark", options: { colorScheme: "dark" }, before: (page) => page.locator(".line", { hasText: "disk_full" }).locator(".name").click() },
  { name: "inbox-phone", options: { colorScheme: "light", viewport: { width: 390, height: 780 }, deviceScaleFactor: 2 } },
];

/** Publishes the samples, and lets people do something about some of them. */
export async function enliven(gateway) {
  await gateway.api("POST", "/v1/directory", directory());
  await gateway.api("POST", "/v1/alarms", events(samples));
  const { alarms } = (await gateway.api("GET", "/v1/alarms?state=all&limit=1000")).body;
  const anna = { Authorization: `Bearer ${gateway.token("anna", { groups: ["*"] })}`, "Content-Type": "application/json" };
  const on = (device, command, body = {}) => {
    const id = alarms.find((alarm) => alarm.device === device && alarm.active).id;
    return fetch(`${gateway.url}/v1/alarms/${encodeURIComponent(id)}/${command}`, { method: "POST", headers: anna, body: JSON.stringify(body) });
  };
  await on("ups-2", "ack", { note: "The generator is running" });
  await on("db-1", "comment", { note: "Backups of last month can go" });
  await on("db-1", "ack", { note: "On it" });
  await on("turbine-n04", "comment", { note: "Fan 2 has been loud for days" });
  await on("bs-204-harbour", "shelve", { note: "Works on the mast until noon" });
  await gateway.api("POST", "/v1/alarms", [{ device: "350000000000014", type: "overspeed", severity: "major", message: "104 km/h in an 80 km/h zone", attrs: { speed_kmh: "104", limit_kmh: "80" } }]);
}

/** Takes the pictures into a folder. */
export async function shoot(gateway, browser, folder) {
  await enliven(gateway);
  for (const { name, options, before } of pictures) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 962 }, locale: "en-GB", timezoneId: "Europe/Berlin", ...options });
    const page = await context.newPage();
    await page.goto(`${gateway.url}/#token=${gateway.token("demo", { groups: ["*"], scope: "inbox publish admin" })}`);
    await page.locator('.connection[data-state="live"]').waitFor();
    await page.locator(".lines .line").first().waitFor();
    await page.locator("h1").click(); // lets it sound
    await page.locator('[data-sound="sounding"]').waitFor();
    if (before) await before(page);
    if (before) await page.locator("dialog.detail .history li").first().waitFor();
    await page.mouse.move(0, 0);
    await page.evaluate(() => document.fonts.ready);
    await page.screenshot({ path: join(folder, `${name}.png`), animations: "disabled" });
    await context.close();
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const folder = process.argv[2] ?? join(import.meta.dirname, "..", "..", "docs", "images");
  await mkdir(folder, { recursive: true });
  const gateway = await startGateway();
  const browser = await startBrowser();
  try {
    await shoot(gateway, browser, folder);
  } finally {
    await browser.close();
    await gateway.stop();
  }
}
