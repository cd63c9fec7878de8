// Takes the pictures of the page without script: node --import tsx screenshots/page.mjs
import { join } from "node:path";
import { startBrowser } from "../test/browser.ts";
import { startGateway } from "../test/gateway.ts";

const images = join(import.meta.dirname, "..", "..", "docs", "images");
const groups = {
  "860000000000017": "fleet-7", "860000000000031": "fleet-7", "pump-3": "plant-north", "chiller-1": "plant-north",
  "rack-12": "dc-east", "door-4": "dc-east", "ups-2": "dc-east",
};
const [gateway, browser] = await Promise.all([startGateway("--poll-interval-busy", "30s"), startBrowser()]);

async function ask(method, path, body) {
  const answer = await gateway.api(method, path, body);
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body;
}
const raise = (device, type, severity, message, attrs = {}, more = {}) => ({ device, type, severity, message, attrs, ...more });

for (const [device, group] of Object.entries(groups)) await ask("PUT", `/v1/devices/${device}`, { groups: [group] });
await ask("PUT", "/v1/users/anna", { groups: [...new Set(Object.values(groups))] });
const drive = { speed_kmh: "92", limit_kmh: "80", road: "A 14", driver: "M. Okafor", heading: "NE", satellites: "11", hdop: "0.8" };
const { results } = await ask("POST", "/v1/alarms", [
  raise("860000000000031", "geofence.exit", "warning", "Left the depot area 18 min after the shift ended", { zone: "Depot West" }),
  raise("chiller-1", "temperature.high", "minor", "Supply air 9.4 °C, limit 8.0 °C", { temp_c: "9.4", limit_c: "8.0" }),
  raise("door-4", "door.open", "minor", "Held open for 4 min", { badge: "none" }, { qualifier: "rear" }),
  raise("860000000000017", "overspeed", "major", "92 km/h in an 80 km/h zone", drive),
  raise("ups-2", "battery.weak", "indeterminate", "Self-test gave no result"),
]);
await ask("POST", "/v1/alarms", raise("860000000000017", "overspeed", "major", "95 km/h in an 80 km/h zone", { ...drive, speed_kmh: "95" }));
const token = gateway.token("anna");
const act = (i, name, body) =>
  fetch(`${gateway.url}/v1/alarms/${encodeURIComponent(results[i].id)}/${name}`, {
    method: "POST", headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
await act(2, "ack", { note: "the guard is on his way" });
await act(3, "comment", { note: "Called the driver, he slows down." });
await act(4, "shelve", { note: "until the technician is there" });
await ask("POST", "/v1/notices", { to: "everyone", title: "Maintenance tonight at 03:00", body: "Expect a minute of silence." });

/** A page that has looked once, so that what comes next is marked. */
async function look(name, colorScheme, width) {
  const context = await browser.newContext({ javaScriptEnabled: false, colorScheme, viewport: { width, height: 844 }, deviceScaleFactor: width < 500 ? 2 : 1 });
  const page = await context.newPage();
  await page.goto(`${gateway.url}/inbox`);
  await page.fill("#token", token);
  await page.click("input[type=submit]");
  return { name, page, next: await page.getAttribute("#refresh", "href") };
}
const looks = [await look("page", "light", 1240), await look("page-dark", "dark", 1240), await look("page-phone", "light", 390)];
await ask("POST", "/v1/alarms", [
  raise("pump-3", "pressure.low", "major", "1.2 bar at the outlet, 2.0 bar wanted", { bar: "1.2" }),
  raise("rack-12", "smoke", "critical", "Smoke detector in row C, a second sensor confirms", { row: "C", sensors: "2" }),
  raise("chiller-1", "temperature.high", "minor", "", {}, { state: "cleared" }),
]);
for (const { name, page, next } of looks) {
  await page.goto(gateway.url + next);
  await page.screenshot({ path: join(images, `${name}.png`) });
}
await browser.close();
await gateway.stop();
