// The client in a mini-program: the scenarios through wx, and what only a phone does.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { TRANSPORTS, alipay, createInbox, type MiniOptions } from "../miniprogram/src/index.js";
import type { InboxOptions } from "../client/src/types.js";
import { startGateway, type Gateway } from "./gateway.js";
import { createFactory, until } from "./harness.js";
import { QUICK, GATEWAY_ARGS, scenarios } from "./scenarios.js";
import { alipayOf } from "./my.js";
import { createPhone, type Phone } from "./wx.js";

const run = promisify(execFile);
const web = join(import.meta.dirname, "..");
const transports = TRANSPORTS.map(({ name }) => name);

/** A factory of inboxes on a phone. */
const factoryOn = (api: Phone["wx"]) => createFactory(({ share: _, ...options }: InboxOptions) => createInbox(options as MiniOptions, api));

describe("mini-programs", { concurrency: true }, () => {
  for (const transport of transports) {
    describe(transport, { concurrency: false }, () => {
      let gateway: Gateway;
      before(async () => {
        gateway = await startGateway(...GATEWAY_ARGS);
      });
      after(() => gateway.stop());
      for (const scenario of scenarios) {
        test(scenario.name, { timeout: 60_000 }, async () => {
          const phone = createPhone([new URL(gateway.url).host]);
          await scenario.run({ gateway, transport, transports, factory: factoryOn(phone.wx) });
        });
      }
    });
  }
});

describe("on a phone", () => {
  let gateway: Gateway;
  before(async () => {
    gateway = await startGateway(...GATEWAY_ARGS);
  });
  after(() => gateway.stop());
  let users = 0;

  /** Somebody with a phone and an inbox. */
  function somebody(options: Partial<MiniOptions> = {}) {
    const user = `phone${++users}`;
    const group = `g-${user}`;
    const kept = new Map<string, string>();
    const phone = createPhone([new URL(gateway.url).host], kept, 200);
    const open = (on = phone) =>
      factoryOn(on.wx)({ url: gateway.url, token: gateway.token(user, { groups: [group] }), timing: QUICK, ...(options as object) });
    const raise = async (name: string) => {
      await gateway.api("PUT", `/v1/devices/${user}-${name}`, { groups: [group] });
      assert.equal((await gateway.api("POST", "/v1/alarms", { device: `${user}-${name}`, type: "t", severity: "major" })).status, 202);
    };
    return { user, kept, phone, open, raise };
  }
  const isLive = ({ state }: { state: { name: string; transport?: string } }) => state.name === "live" && state.transport === "websocket";

  test("a short poll first, then one socket and no more; hidden it has none, shown it goes on", async () => {
    const { phone, open, raise } = somebody();
    await raise("1");
    const client = await open();
    await until(client, "live", (seen) => isLive(seen) && seen.told.length === 1);
    assert.match(phone.asked.find((url) => url.includes("/v1/inbox")) ?? "", /\/v1\/inbox\?snapshot=active/);
    assert.deepEqual([phone.sockets, phone.requests], [1, 0]);
    for (let i = 2; i < 5; i++) {
      phone.hide();
      await until(client, "nothing is open", () => phone.sockets === 0 && phone.requests === 0);
      await raise(`${i}`);
      const before = phone.asked.length;
      phone.show();
      await until(client, "what came meanwhile", (seen) => seen.told.length === i && isLive(seen));
      assert.match(phone.asked[before] ?? "", /\/v1\/inbox\?cursor=/, "a short poll comes first");
    }
    assert.equal(phone.mostSockets, 1);
    assert.deepEqual(phone.refused.filter((why) => why !== "request:fail abort"), [], "nothing was left for the phone to cut");
    await client.call("close");
    await until(client, "closed", () => phone.sockets === 0);
  });

  test("hidden while it connects, it leaves no socket behind", async () => {
    const { phone, open, raise } = somebody();
    const client = await open();
    for (let i = 0; i < 5; i++) {
      const before = phone.asked.filter((url) => url.startsWith("ws")).length;
      await until(client, "it connects", () => phone.asked.filter((url) => url.startsWith("ws")).length > before);
      phone.hide();
      phone.show();
    }
    await raise("1");
    await until(client, "live", (seen) => isLive(seen) && seen.told.length === 1);
    assert.deepEqual([phone.sockets, phone.mostSockets], [1, 1]);
    await client.call("close");
  });

  test("another network, no network, the network again", async () => {
    const { phone, open, raise } = somebody();
    const client = await open();
    await until(client, "live", isLive);
    phone.network("4g");
    await raise("1");
    await until(client, "over the other network", (seen) => isLive(seen) && seen.told.length === 1);
    phone.network("none");
    await until(client, "offline", ({ state }) => state.name === "offline");
    await raise("2");
    phone.network("wifi");
    await until(client, "again", (seen) => isLive(seen) && seen.told.length === 2);
    assert.equal(phone.mostSockets, 1);
    await client.call("close");
  });

  test("killed and opened again: the list is whole, and only what came since is told", async () => {
    const { user, kept, phone, open, raise } = somebody();
    await raise("1");
    await raise("2");
    const first = await open();
    await until(first, "both", (seen) => seen.told.length === 2 && isLive(seen));
    await first.call("ack", (await first.seen()).alarms.find(({ device }) => device === `${user}-1`)?.id);
    await until(first, "the acknowledgement", (seen) => seen.told.length === 3);
    phone.hide();
    await first.call("close");
    await raise("3");
    const second = await open(createPhone([new URL(gateway.url).host], kept, 200));
    const seen = await until(second, "all", ({ alarms, told }) => alarms.length === 3 && told.length === 1);
    assert.deepEqual(seen.told.map(({ device }) => device), [`${user}-3`]);
    assert.deepEqual(seen.alarms.map(({ device, acked }) => `${device} ${acked}`).sort(), [`${user}-1 true`, `${user}-2 false`, `${user}-3 false`]);
    await gateway.api("PUT", `/v1/devices/${user}-2`, { groups: ["elsewhere"] });
    await until(second, "what moved away is gone", ({ alarms }) => alarms.length === 2 && alarms.every(({ device }) => device !== `${user}-2`));
    await second.call("close");
  });

  test("a server that is not declared is not reached, and says why", async () => {
    const { user } = somebody();
    const phone = createPhone(["alarms.example.com"]);
    const client = await factoryOn(phone.wx)({ url: gateway.url, token: gateway.token(user), timing: QUICK });
    const { state } = await until(client, "offline", (seen) => seen.state.name === "offline");
    assert.match(state.name === "offline" ? state.why : "", /not in domain list/);
    await client.call("close");
  });

  test("Alipay's my does as well", async () => {
    const { phone, raise, user } = somebody();
    const client = await factoryOn(alipay(alipayOf(phone.wx)))({ url: gateway.url, token: gateway.token(user, { groups: [`g-${user}`] }), timing: QUICK });
    await until(client, "live", isLive);
    await raise("1");
    const seen = await until(client, "it", ({ told }) => told.length === 1);
    assert.equal(((await client.call("ack", seen.alarms[0]?.id)) as { alarm: { acked: boolean } }[])[0]?.alarm.acked, true);
    assert.equal((await client.call("ack", "gone.t._.1.x") as { problem: { status: number } }[])[0]?.problem.status, 404);
    phone.hide();
    await until(client, "closed", () => phone.sockets === 0);
    await client.call("close");
  });
});

test("it is typed against WeChat's own typings, with the example", async () => {
  await run(process.execPath, ["node_modules/typescript/bin/tsc", "--noEmit", "-p", "miniprogram"], { cwd: web });
});
