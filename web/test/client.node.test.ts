// The client in Node, over every transport.
import { after, before, describe, test } from "node:test";
import { TRANSPORTS, createInbox } from "../client/src/index.js";
import { startGateway, type Gateway } from "./gateway.js";
import { createFactory } from "./harness.js";
import { GATEWAY_ARGS, scenarios } from "./scenarios.js";

const transports = TRANSPORTS.map(({ name }) => name);

// Each transport has a gateway of its own, so that they do not wait for each other.
describe("in Node", { concurrency: 4 }, () => {
  for (const transport of transports) {
    describe(transport, { concurrency: 1 }, () => {
      let gateway: Gateway;
      before(async () => {
        gateway = await startGateway(...GATEWAY_ARGS);
      });
      after(() => gateway.stop());
      for (const scenario of scenarios) {
        test(scenario.name, { timeout: 60_000 }, () => scenario.run({ gateway, transport, transports, factory: createFactory(createInbox) }));
      }
    });
  }
});
