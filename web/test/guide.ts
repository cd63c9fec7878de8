// What the tests of docs/clients have in common: the snippets, somebody who reads, and a
// site that the pages of the snippets come from.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import type { Gateway } from "./gateway.js";

export const web = join(import.meta.dirname, "..");
export const guide = (page: string) => readFileSync(join(web, "..", "docs", "clients", page), "utf8");

/** The snippet of a page that is marked with this name. */
export function snippet(page: string, name: string): string {
  const found = [...guide(page).matchAll(/^<!-- run: (\S+) -->\n```\w+\n([^]*?)^```$/gm)].find((match) => match[1] === name);
  assert.ok(found?.[2], `${page} has no block ${name}`);
  return found[2];
}

let users = 0;
/** Somebody with a group of his own, whose devices may catch fire. */
export function somebody(gateway: Gateway) {
  const user = `reader${++users}`;
  return {
    user, token: gateway.token(user, { groups: [user] }),
    async raise(name: string) {
      await gateway.api("PUT", `/v1/devices/${user}-${name}`, { groups: [user] });
      assert.equal((await gateway.api("POST", "/v1/alarms", { device: `${user}-${name}`, type: "fire", severity: "critical", message: "smoke" })).status, 202);
    },
    async ackedBy(name: string): Promise<unknown> {
      const { body } = await gateway.api("GET", `/v1/alarms?state=all&device=${user}-${name}`);
      return (body as { alarms: { acked_by: string | null }[] }).alarms[0]?.acked_by;
    },
  };
}

/** What a site has, by how its path ends; the page itself is html. */
export type Site = Readonly<Record<string, readonly [type: string, body: string]>>;

/** What to look for in a page. */
export interface Places {
  /** Is there when it is live. */
  readonly live: string;
  /** The line of an alarm of a device, which is critical and says "smoke". */
  line(device: string): string;
}

const list: Places = { live: ':is([role=status], #state):has-text("live")', line: (device) => `li:has-text("critical: smoke (${device})")` };

/** Opens a page of an origin of its own, and sees to it that an alarm comes and can be acknowledged there. */
export async function tryPage(gateway: Gateway, browser: Browser, html: string, site: Site, places = list): Promise<void> {
  const who = somebody(gateway);
  const server = createServer(({ url = "" }, answer) => {
    const [type, body] =
      url === "/my/token" ? ["text/plain", who.token] as const
      : Object.entries(site).find(([end]) => url.endsWith(end))?.[1] ?? ["text/html; charset=utf-8", html] as const;
    answer.writeHead(200, { "Content-Type": type }).end(body);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const context = await browser.newContext();
  try {
    const tab = await context.newPage();
    const errors: string[] = [];
    tab.on("pageerror", (error) => errors.push(String(error)));
    await tab.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    await tab.locator(places.live).waitFor();
    await who.raise("1");
    const button = tab.locator(places.line(`${who.user}-1`)).getByRole("button", { name: "Acknowledge" });
    await button.click();
    await button.waitFor({ state: "detached" });
    assert.equal(await who.ackedBy("1"), who.user);
    assert.deepEqual(errors, []);
  } finally {
    await context.close();
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  }
}
