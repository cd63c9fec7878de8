// A client of JSON operations, written from docs/compat/oplink.md alone: its system's own endpoint
// knows the sessions, and its backend publishes without a token, from a network that may.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startGateway, type Gateway } from "../gateway.js";
import { startFront, ways, type Front } from "../nginx.js";
import { open, startCallback, type Socket } from "./client.js";

for (const way of ways) describe(way, () => {
  let gateway: Gateway;
  let front: Front;
  let callback: Awaited<ReturnType<typeof startCallback>>;

  before(async () => {
    callback = await startCallback();
    gateway = await startGateway("--session-callback-url", callback.url, "--compat-publish-from", "127.0.0.0/8", "--connections-per-user", "1000");
    front = await startFront(way, gateway.port);
  });
  after(async () => {
    await Promise.all([front.stop(), gateway.stop()]);
    await callback.stop();
  });

  const succeeded = '{"result":true}';
  const subscribe = '{"op":"subscribe","channel":"@user"}';

  async function enter(token: string): Promise<Socket> {
    const client = await open(`${front.url}/message-center`);
    client.send(JSON.stringify({ op: "auth", token }));
    assert.equal(await client.next(), succeeded);
    client.send(subscribe);
    assert.equal(await client.next(), succeeded);
    return client;
  }

  async function publish(user: number, msg: string): Promise<unknown> {
    const d = JSON.stringify({ event: "@user", data: { uid: user, msg } });
    const answer = await fetch(`${front.url}/v1/mesh/publish`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ c: `user:${user}`, d }),
    });
    assert.equal(answer.status, 200);
    return answer.json();
  }

  test("operations and events", { timeout: 60_000 }, async () => {
    const stranger = await open(`${front.url}/message-center`);
    stranger.send(subscribe);
    assert.equal(await stranger.next(), '{"code":1,"msg":"Not Auth"}');
    stranger.send('{"op":"auth","token":"nobody\'s"}');
    assert.equal(await stranger.next(), '{"code":1,"msg":"Not Auth"}');
    assert.equal((await stranger.closed()).code, 4401);

    const client = await enter("s-1001");
    const answer = (await publish(1001, "Hello,World!")) as { E: unknown; r: { s: number; f: number } };
    assert.deepEqual([answer.E, answer.r.s, answer.r.f], [null, 1, 0]);
    assert.equal(await client.next(), '{"event":"@user","data":{"uid":1001,"msg":"Hello,World!"}}');

    await gateway.api("PUT", "/v1/devices/d1", { groups: ["crew"] });
    await gateway.api("PUT", "/v1/users/1001", { groups: ["crew"] });
    await gateway.api("POST", "/v1/alarms", { device: "d1", type: "overspeed", severity: "major", message: "92 km/h" });
    const event = JSON.parse(await client.next()) as { event: string; data: { uid: number; msg: { type: string; alarm: { message: string } } } };
    assert.deepEqual([event.event, event.data.uid, event.data.msg.type, event.data.msg.alarm.message], ["@user", 1001, "alarm.raised", "92 km/h"]);
    client.send('{"op":"unsubscribe","channel":"@user"}');
    assert.equal(await client.next(), succeeded);
    await publish(1001, "unheard");
    client.send(subscribe);
    assert.equal(await client.next(), succeeded);
    await publish(1001, "heard");
    assert.match(await client.next(), /"heard"/);
    client.send(new Uint8Array([123, 125]));
    assert.equal((await client.closed()).code, 1003);
  });

  test("a publisher's socket answers each object, in order", { timeout: 60_000 }, async () => {
    const client = await enter("s-7");
    const publisher = await open(`${front.url}/v1/mesh/ws`);
    const n = 500;
    for (let i = 0; i < n; i++) publisher.send(JSON.stringify({ m: "mesh.publish", p: { c: "user:7", d: `m${i}` }, i }));
    for (let i = 0; i < n; i++) {
      const answer = JSON.parse(await publisher.next()) as { E: unknown; i: number };
      assert.deepEqual([answer.E, answer.i], [null, i]);
      assert.equal(await client.next(), `m${i}`);
    }
  });

  test("who is in stays when the callback is dead, and after a kill of the server", { timeout: 60_000 }, async () => {
    const client = await enter("s-8");
    callback.die();
    const stranger = await open(`${front.url}/message-center`);
    stranger.send('{"op":"auth","token":"s-9"}');
    assert.equal(await stranger.next(), '{"code":3,"msg":"Unavailable"}');
    await publish(8, "still");
    assert.match(await client.next(), /"still"/);
    await gateway.kill();
    await client.closed();
    await gateway.start();
    const again = await enter(gateway.token("8")); // nobody remembers the session, but a JWT is known
    await publish(8, "again");
    assert.match(await again.next(), /"again"/);
  });
});
