// The client in headless Chromium, over every transport.
import { after, before, describe, test } from "node:test";
import type { Browser } from "playwright-core";
import { TRANSPORTS } from "../client/src/index.js";
import { openPage, type ClientPage } from "./browser-client.js";
import { startBrowser } from "./browser.js";
import { startGateway, type Gateway } from "./gateway.js";
import { GATEWAY_ARGS, scenarios } from "./scenarios.js";

const transports = TRANSPORTS.map(({ name }) => name);
let browser: Browser;

// Each transport has a gateway of its own, so that they do not wait for each other.
describe("in Chromium", { concurrency: 4 }, () => {
  before(async () => {
    browser = await startBrowser();
  });
  after(() => browser.close());
  for (const transport of transports) {
    describe(transport, { concurrency: 1 }, () => {
      let gateway: Gateway;
      let here: ClientPage;
      before(async () => {
        gateway = await startGateway(...GATEWAY_ARGS);
        here = await openPage(await browser.newContext(), gateway.url);
      });
      after(() => gateway.stop());
      for (const scenario of scenarios) {
        test(scenario.name, { timeout: 60_000 }, () => scenario.run({ gateway, transport, transports, factory: here.factory }));
      }
    });
  }
});
