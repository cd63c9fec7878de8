// Pictures of the console and of the doctor, on a gateway with some life in it.
// Run it as `node --import tsx screenshots/console.mjs [folder]`, or call shoot from
// another script.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { startBrowser } from "../test/browser.ts";
import { startGateway } from "../test/gateway.ts";
import { httpProxy } from "../test/proxies.ts";

const groups = ["fleet-7", "depot", "night-shift"];
const people = { anna: ["fleet-7"], bob: ["fleet-7", "night-shift"], chen: ["depot"], dora: ["depot", "night-shift"], emil: ["fleet-7", "depot"] };
const alarms = [
  ["overspeed", "major", "92 km/h in an 80 km/h zone"], ["geofence", "minor", "left the route"], ["battery", "warning", "11.8 V"],
  ["fire", "critical", "smoke in the cabin"], ["door", "minor", "open while driving"], ["offline", "indeterminate", "no report for 10 min"],
];

/** Fills the directory, lets people come over every transport, and alarms happen until the returned function is called. */
export async function enliven(gateway, browser) {
  const lines = [];
  for (let i = 0; i < 40; i++) lines.push({ device: `8600000000000${String(10 + i)}`, groups: [groups[i % 3]] });
  for (const [user, his] of Object.entries(people)) lines.push({ user, groups: his });
  await gateway.api("POST", "/v1/directory", lines.map((line) => JSON.stringify(line)).join("\n"));
  const over = new AbortController();
  const as = (user) => ({ Authorization: `Bearer ${gateway.token(user)}` });
  const read = async (user) => {
    const answer = await fetch(`${gateway.url}/v1/inbox/sse`, { headers: as(user), signal: over.signal });
    for await (const _part of answer.body) continue;
  };
  const poll = async (user, wait) => {
    for (let cursor = "latest"; ; ) {
      const answer = await fetch(`${gateway.url}/v1/inbox?cursor=${cursor}&wait=${wait}`, { headers: as(user), signal: over.signal });
      cursor = encodeURIComponent((await answer.json()).cursor);
      if (!wait) await new Promise((soon) => setTimeout(soon, 700));
    }
  };
  // Node has no WebSocket of its own yet; the browser has.
  const sockets = await browser.newPage();
  await sockets.goto(`${gateway.url}/doctor`);
  await sockets.evaluate((tokens) => {
    for (const token of tokens) {
      const socket = new WebSocket(`ws://${location.host}/v1/inbox/ws`, "tocsin.v1.json");
      socket.onopen = () => socket.send(JSON.stringify({ op: "auth", token }));
    }
  }, ["anna", "anna", "bob", "emil"].map((user) => gateway.token(user)));
  const gone = () => undefined;
  for (const user of ["chen", "dora", "bob"]) read(user).catch(gone);
  poll("dora", 25).catch(gone);
  poll("emil", 0).catch(gone);
  let n = 0;
  const timer = setInterval(async () => {
    for (let i = 0; i <= n % 4; i++) {
      const [type, severity, message] = alarms[(n * 7 + i * 5) % alarms.length];
      const device = `8600000000000${String(10 + ((n * 3 + i) % 40))}`;
      await gateway.api("POST", "/v1/alarms", { device, type, severity, message, qualifier: `${n}.${i}` }).catch(gone); // none repeats
    }
    n++;
  }, 90);
  return () => {
    clearInterval(timer);
    over.abort();
    return sockets.close();
  };
}

/** Takes the pictures into a folder: of all panels, or of those that documents show. The doctor looks from behind a proxy that refuses upgrades. */
export async function shoot(gateway, browser, folder, schemes = ["light"], panels = ["people", "explain"]) {
  const behind = await httpProxy(gateway.port, { upgrades: false });
  const stop = await enliven(gateway, browser);
  const admin = gateway.token("ops", { scope: "inbox publish admin", groups: ["*"] });
  for (const scheme of schemes) {
    const suffix = scheme === "light" ? "" : "-dark";
    const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, colorScheme: scheme });
    const page = await context.newPage();
    // Where there is no Chinese font, its name would be boxes.
    await page.addInitScript(() => addEventListener("DOMContentLoaded", () => (document.getElementById("language").hidden = true)));
    const picture = (name) => page.screenshot({ path: join(folder, `${name}${suffix}.png`) });
    await page.goto(`${gateway.url}/console#token=${admin}`);
    await page.getByRole("heading", { name: "Overview" }).waitFor();
    await page.waitForTimeout(62_000); // for the charts to be full
    await picture("console");
    for (const name of panels.filter((one) => one !== "explain")) {
      await page.goto(`${gateway.url}/console#${name}`);
      await page.waitForTimeout(600);
      await picture(`console-${name}`);
    }
    const sent = await gateway.api("POST", "/v1/alarms", { device: "860000000000011", type: "fire", severity: "critical", qualifier: `shown${suffix}` });
    await page.goto(`${gateway.url}/console#explain?alarm=${encodeURIComponent(sent.body.results[0].id)}&user=chen`);
    await page.waitForTimeout(1500);
    await page.getByRole("button", { name: "Explain" }).click(); // when it is known who got it
    await page.waitForTimeout(800);
    await picture("console-explain");
    await page.goto(`${behind.url}/doctor#token=${gateway.token("zoe")}`);
    await page.getByLabel("Watch for (seconds)").fill("12");
    await page.getByRole("button", { name: "Examine" }).click();
    await page.getByRole("button", { name: "Copy the report" }).waitFor({ timeout: 30_000 });
    await page.evaluate(() => scrollTo(0, 0));
    await picture("doctor");
    await context.close();
  }
  await stop();
  await behind.close();
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const folder = process.argv[2] ?? join(import.meta.dirname, "..", "..", "docs", "images");
  await mkdir(folder, { recursive: true });
  const gateway = await startGateway("--ping-interval", "2s"); // the doctor looks on for a moment only
  const browser = await startBrowser();
  try {
    await shoot(gateway, browser, folder);
  } finally {
    await browser.close();
    await gateway.stop();
  }
}
