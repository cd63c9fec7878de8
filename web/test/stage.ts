// A gateway and a browser with the page at / in it, for tests of the inbox. Each test
// has a group of its own, so that they share a gateway without seeing each other.
import assert from "node:assert/strict";
import type { Browser, BrowserContextOptions, Locator, Page } from "playwright-core";
import type { Gateway } from "./gateway.js";
import { eventually } from "./wait.js";

/** An alarm as it is published, without its device. */
export interface Event {
  readonly device: string;
  readonly type?: string;
  readonly severity?: string;
  readonly [field: string]: unknown;
}

/** What a test sees: its page, and what it publishes. */
export interface Stage {
  readonly group: string;
  readonly token: string;
  readonly page: Page;
  /** Errors of the page and of its security policy. */
  readonly errors: readonly string[];
  /** Publishes alarms of devices that belong to the group. */
  publish(...events: readonly Event[]): Promise<void>;
  /** Opens the page, and waits until it is live. */
  enter(): Promise<void>;
  line(text: string): Locator;
  lines(): Locator;
  /** Waits until exactly these devices are shown, in this order. */
  shows(...devices: readonly string[]): Promise<void>;
  /** Another page with the same token, in the same window or in one of its own. */
  another(own?: boolean): Promise<Page>;
  close(): Promise<void>;
}

let groups = 0;

/** Publishes alarms of devices that are put into a group first. */
export async function publishTo(gateway: Gateway, group: string, events: readonly Event[]): Promise<void> {
  const lines = [...new Set(events.map(({ device }) => device))].map((device) => JSON.stringify({ device, groups: [group] }));
  assert.equal((await gateway.api("POST", "/v1/directory", lines.join("\n"))).status, 200);
  const answer = await gateway.api("POST", "/v1/alarms", events.map((event) => ({ type: "t", severity: "major", ...event })));
  assert.equal(answer.status, 202, JSON.stringify(answer.body));
}

/** What the server knows of the alarm of a device. */
export async function alarmOf(gateway: Gateway, device: string): Promise<Record<string, unknown> & { id: string }> {
  const answer = await gateway.api("GET", `/v1/alarms?state=all&device=${encodeURIComponent(device)}`);
  const [alarm] = (answer.body as { alarms: (Record<string, unknown> & { id: string })[] }).alarms;
  assert.ok(alarm, `no alarm of ${device}`);
  return alarm;
}

/** Opens a window for one who sees a group of his own. */
export async function openStage(gateway: Gateway, browser: Browser, options: BrowserContextOptions = {}): Promise<Stage> {
  const group = `g${++groups}`;
  const token = gateway.token(`user-${group}`, { groups: [group] });
  const all: BrowserContextOptions = { viewport: { width: 1280, height: 800 }, locale: "en-GB", ...options };
  const context = await browser.newContext(all);
  // What tests run in pages was named by tsx, whose helper for that is not there.
  await context.addInitScript("globalThis.__name = (named) => named");
  const others: (() => Promise<void>)[] = [];
  const errors: string[] = [];
  const page = watch(await context.newPage());

  function watch(one: Page): Page {
    one.setDefaultTimeout(15_000);
    one.on("pageerror", (error) => errors.push(String(error.stack ?? error)));
    one.on("console", (message) => {
      // What is refused or unreachable is said by the browser itself, and meant.
      if (message.type() === "error" && !message.text().includes("Failed to load resource") && !message.text().includes("WebSocket connection")) errors.push(message.text());
    });
    return one;
  }
  const live = (one: Page) => one.locator('.connection[data-state="live"], .connection[data-state="polling"]').waitFor();
  const lines = () => page.locator('.lines [role="row"]');

  return {
    group, token, page, errors, lines,
    publish: (...events) => publishTo(gateway, group, events),
    async enter() {
      await page.goto(`${gateway.url}/#token=${token}`);
      await live(page);
    },
    line: (text) => lines().filter({ hasText: text }),
    async shows(...devices) {
      let got: string[] = [];
      await eventually(`the list shows ${devices.join(" ")}`, async () => {
        got = await page.locator(".lines .device").allTextContents();
        return got.join(" ") === devices.join(" ");
      }).catch((error: unknown) => assert.fail(`${String(error)}; it shows ${got.join(" ")}`));
    },
    async another(own = false) {
      const where = own ? await browser.newContext(all) : context;
      if (own) others.push(() => where.close());
      if (own) await where.addInitScript("globalThis.__name = (named) => named");
      const one = watch(await where.newPage());
      await one.goto(`${gateway.url}/#token=${token}`);
      return one;
    },
    async close() {
      await context.close();
      for (const end of others) await end();
    },
  };
}
