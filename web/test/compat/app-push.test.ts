// A client of app push (docs/compat/app-push.md) as an app has it: it keeps no cursor, and connects
// anew with another token whenever it is given one, before the old connection is gone.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { WebSocket } from "ws";
import { startGateway, type Gateway } from "../gateway";
import { startFront, ways, type Front } from "../nginx";

interface Message {
  readonly messageId: string;
  readonly title: string;
  readonly content: unknown;
}

for (const way of ways) describe(way, () => {
  let gateway: Gateway;
  let front: Front;

  before(async () => {
    gateway = await startGateway("--ping-interval", "1s", "--compat-publish-from", "127.0.0.0/8");
    front = await startFront(way, gateway.port);
  });
  after(() => Promise.all([front.stop(), gateway.stop()]));

  function app(user: string) {
    const messages: Message[] = [];
    const waiting = new Set<() => void>();
    let socket: WebSocket | undefined;
    let tokens = 0;
    let stopped = false;

    /** connect resolves when the connection is open; the one before it is then given up. */
    function connect(): Promise<void> {
      const old = socket;
      const one = new WebSocket(`${front.url.replace("http", "ws")}/push/${gateway.token(user, { jti: `t${tokens++}` })}`);
      socket = one;
      const life = setInterval(() => one.readyState === WebSocket.OPEN && one.send("--"), 300);
      one.on("message", (data, binary) => {
        if (one !== socket) return; // it was given up, whatever it still brings
        assert.equal(binary, false);
        messages.push(JSON.parse(String(data)) as Message);
        waiting.forEach((check) => check());
      });
      one.on("error", () => undefined); // the close follows
      return new Promise((opened) => {
        one.on("open", () => {
          old?.terminate();
          opened();
        });
        one.on("close", () => {
          clearInterval(life);
          opened();
          if (one === socket && !stopped) setTimeout(() => void connect(), 20);
        });
      });
    }

    const until = (what: string, holds: () => boolean) =>
      new Promise<void>((resolve, reject) => {
        const late = setTimeout(() => reject(new Error(`${what}: ${messages.length} messages`)), 30_000);
        const check = () => {
          if (!holds()) return;
          clearTimeout(late);
          waiting.delete(check);
          resolve();
        };
        waiting.add(check);
        check();
      });
    return {
      messages, connect, until,
      different: () => new Set(messages.map((m) => m.messageId)).size,
      stop: () => {
        stopped = true;
        socket?.terminate();
      },
    };
  }

  async function push(users: readonly string[], title: string, message: unknown): Promise<{ users: number; online: number }> {
    const answer = await fetch(`${front.url}/push`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ users, title, message, id: title }),
    });
    assert.equal(answer.status, 200);
    return (await answer.json()) as { users: number; online: number };
  }

  /** subscribed waits until the node delivers to so many connections of the user. */
  async function subscribed(user: string, n: number): Promise<void> {
    for (const end = Date.now() + 20_000; ; await new Promise((soon) => setTimeout(soon, 10))) {
      const { body } = await gateway.api("GET", `/v1/connections?user=${user}`);
      if (JSON.stringify(body).split('"subscribed":true').length - 1 === n) return;
      assert.ok(Date.now() < end, JSON.stringify(body));
    }
  }

  test("all connections of a user get what is pushed", async () => {
    const one = app("ann");
    const two = app("ann");
    await one.connect();
    await two.connect();
    await subscribed("ann", 2);
    assert.deepEqual(await push(["ann", "bob"], "hello", { from: "the backend" }), { users: 2, online: 1 });
    await one.until("a message", () => one.messages.length === 1);
    await two.until("a message", () => two.messages.length === 1);
    assert.match(one.messages[0]!.messageId, /^.+-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/);
    assert.deepEqual(one.messages[0], { messageId: two.messages[0]!.messageId, title: "hello", content: { from: "the backend" } });
    one.stop();
    two.stop();
  });

  test("a token that nobody has is told so by the close", async () => {
    const socket = new WebSocket(`${front.url.replace("http", "ws")}/push/nobody`);
    const [code, reason] = await new Promise<[number, string]>((closed) => socket.on("close", (c, r) => closed([c, String(r)])));
    assert.equal(code, 4401);
    assert.notEqual(reason, "");
  });

  test("nothing is lost by new tokens in the middle of a flood, nor by a kill", async () => {
    const total = 400;
    const ann = app("cleo");
    await ann.connect();
    await subscribed("cleo", 1);
    for (let n = 0; n < total; n++) {
      await push(["cleo"], `n${n}`, n);
      if (n % 60 === 30) void ann.connect();
      if (n === 200) {
        await gateway.kill();
        await gateway.start();
      }
    }
    await ann.until("all of them", () => ann.different() >= total);
    const byId = new Map<string, Message>();
    for (const m of ann.messages) {
      const before = byId.get(m.messageId);
      assert.deepEqual(m, before ?? m); // what comes again is the same
      byId.set(m.messageId, m);
    }
    assert.deepEqual([...byId.values()].map((m) => m.content).sort((a, b) => Number(a) - Number(b)), Array.from({ length: total }, (_, i) => i));
    ann.stop();
  });
});
