// A client of notices with an offline store, written from docs/compat/notices.md alone: sessions are
// in a real Redis, or known to a callback.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startGateway, type Gateway } from "../gateway.js";
import { startFront, ways, type Front } from "../nginx.js";
import { open, startCallback, startRedis, type Socket } from "./client.js";

for (const way of ways) describe(way, () => {
  let gateway: Gateway;
  let front: Front;
  let redis: Awaited<ReturnType<typeof startRedis>>;
  let callback: Awaited<ReturnType<typeof startCallback>>;

  before(async () => {
    [redis, callback] = await Promise.all([startRedis(), startCallback()]);
    await redis.command("SET", "login:7f3a", JSON.stringify({ user: { id: 42 } }));
    gateway = await startGateway(
      "--session-redis-url", redis.url, "--session-redis-key", "login:{token}", "--session-redis-field", "user.id",
      "--session-callback-url", callback.url, "--compat-publish-from", "127.0.0.0/8",
    );
    front = await startFront(way, gateway.port);
  });
  after(async () => {
    await Promise.all([front.stop(), gateway.stop()]);
    await Promise.all([redis.stop(), callback.stop()]);
  });

  interface Notice {
    readonly senderId: string;
    readonly receiverId: string;
    readonly message: string;
    readonly createdTime: string;
    readonly read: boolean;
    readonly tripId?: number;
  }

  const connect = (token: string) => open(`${front.url}/notice/ws/socket?SESSION_TOKEN_KEY=${token}`);
  const notice = async (client: Socket) => JSON.parse(await client.next()) as Notice;

  async function push(body: unknown): Promise<{ code: number; data: { code: number }[] }> {
    const answer = await fetch(`${front.url}/notice/push`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    assert.equal(answer.status, 200);
    return (await answer.json()) as { code: number; data: { code: number }[] };
  }

  test("notices between users whose sessions are in Redis and known to the callback", { timeout: 60_000 }, async () => {
    await assert.rejects(connect("unknown"));
    const one = await connect("7f3a");
    const two = await connect("s-1001");
    one.send(JSON.stringify({ receiverId: "1001", tripId: 5, message: "on my way" }));
    const got = await notice(two);
    assert.deepEqual([got.senderId, got.receiverId, got.message, got.read, got.tripId], ["42", "1001", "on my way", false, 5]);
    assert.ok(Math.abs(Date.now() - Date.parse(got.createdTime)) < 60_000);
    two.send("no JSON");
    const failed = JSON.parse(await two.next()) as { code: number; message: string };
    assert.equal(failed.code, 400);
    assert.notEqual(failed.message, "");
    const answer = await fetch(`${front.url}/notice/online`);
    const { data } = (await answer.json()) as { data: { userId: string; transports: string[] }[] };
    assert.deepEqual(data.map((user) => [user.userId, user.transports]), [["1001", ["notices"]], ["42", ["notices"]]]);
    await Promise.all([one.close(), two.close()]);
  });

  test("what is stored comes when its receiver does, through a kill of the server", { timeout: 60_000 }, async () => {
    const results = await push([
      { receiverId: "77", message: "first" },
      { receiverId: "77", message: "second" },
      { receiverId: "77" },
    ]);
    assert.deepEqual(results.data.map((result) => result.code), [200, 200, 422]);
    await gateway.kill();
    await gateway.start();
    const client = await connect("s-77");
    for (const message of ["first", "second"]) {
      const got = await notice(client);
      assert.deepEqual([got.message, got.read], [message, false]);
    }
    await client.close();
    await push({ receiverId: 77, message: "third" });
    const again = await connect("s-77");
    const got = await notice(again);
    assert.deepEqual([got.message, got.read], ["third", false]);

    // Killed while the client is connected: what it was sent before is marked when it comes again.
    await new Promise((soon) => setTimeout(soon, 1000));
    await gateway.kill();
    await again.closed();
    await gateway.start();
    await push({ receiverId: "77", message: "fourth" });
    const last = await connect("s-77");
    for (;;) {
      const got = await notice(last);
      if (got.message === "fourth") {
        assert.equal(got.read, false);
        break;
      }
      assert.deepEqual([got.message, got.read], ["third", true]);
    }
    await last.close();
  });
});
