// @stomp/stompjs of npm, unmodified, against the real gateway over WebSocket.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Client, Versions, type IMessage } from "@stomp/stompjs";
import { WebSocket } from "ws";
import { startGateway, type Gateway } from "../gateway";
import { connect, queue, within, type Connected } from "./stomp-client";

const inbox = "/user/queue/inbox";
let gateway: Gateway;
let stomp: string;

before(async () => {
  gateway = await startGateway("--ping-interval", "1s", "--fold", "0");
  stomp = gateway.url.replace("http", "ws") + "/stomp";
});
after(() => gateway.stop());

/** Each test has users and a device of its own. */
async function crew(name: string): Promise<void> {
  assert.equal((await gateway.api("PUT", `/v1/devices/${name}`, { groups: [name] })).status, 200);
}
const login = (user: string, group: string) => ({ connectHeaders: { login: user, passcode: gateway.token(user, { groups: [group] }) } });

async function raise(device: string, ...types: string[]): Promise<void> {
  for (const type of types) {
    const { status } = await gateway.api("POST", "/v1/alarms", { device, type, severity: "major", id: `${device}-${type}` });
    assert.equal(status, 202);
  }
}

const typeOf = (m: IMessage): string => (JSON.parse(m.body) as { alarm: { type: string } }).alarm.type;

/** The next alarms' types. */
async function types(messages: { next(what?: string): Promise<IMessage> }, n: number): Promise<string> {
  const got: string[] = [];
  while (got.length < n) got.push(typeOf(await messages.next(`entry ${got.length + 1} of ${n}`)));
  return got.join(" ");
}

test("each version connects, with each of its subprotocols", async () => {
  for (const [version, protocol] of [[Versions.V1_2, "v12.stomp"], [Versions.V1_1, "v11.stomp"], [Versions.V1_0, "v10.stomp"]] as const) {
    const c = await connect(stomp, { ...login("ada", "v"), stompVersions: new Versions([version]) }, [protocol]);
    assert.equal(c.connected.headers["version"], version);
    assert.equal(c.connected.headers["user-name"], "ada");
    assert.ok(c.connected.headers["session"]);
    assert.equal(c.socket().protocol, protocol);
    const news = await c.subscribe("/topic/versions");
    await c.send("/topic/versions", version);
    assert.equal((await news.messages.next()).body, version);
    await c.disconnect();
  }
});

test("the token comes in login, passcode, Authorization, the handshake; and in a plain upgrade at the SockJS path", async () => {
  const token = gateway.token("ada");
  for (const connectHeaders of [{ login: token }, { login: "x", passcode: token }, { Authorization: `Bearer ${token}` }, { access_token: token }]) {
    const c = await connect(stomp, { connectHeaders });
    await c.disconnect();
  }
  for (const [url, headers] of [[stomp, { Authorization: `Bearer ${token}` }], [`${stomp}?access_token=${token}`, {}], [stomp.replace("/stomp", "/endpoint-websocket") + `?access_token=${token}`, {}]] as const) {
    const c = await connect(url, { connectHeaders: { login: "guest", passcode: "guest" } }, undefined, headers);
    assert.equal(c.connected.headers["user-name"], "ada");
    await c.disconnect();
  }
  for (const connectHeaders of [{}, { login: "guest", passcode: "guest" }, { Authorization: "Bearer a.b.c" }]) {
    await assert.rejects(connect(stomp, { connectHeaders }), (error: Error & { frame: { body: string }; closed: Connected["closed"] }) => {
      assert.equal((JSON.parse(error.frame.body) as { status: number }).status, 401);
      return true;
    });
  }
});

test("the inbox comes, and goes on by its cursor", async () => {
  await crew("cursor");
  let c = await connect(stomp, login("cora", "cursor"));
  let sub = await c.subscribe(inbox);
  assert.ok(sub.receipt.headers["cursor"]);
  await raise("cursor", "a", "b", "c");
  const a = await sub.messages.next();
  assert.equal(typeOf(a), "a");
  assert.equal(a.headers["content-type"], "application/json");
  assert.equal(a.headers["unread"], "1");
  assert.equal(await types(sub.messages, 2), "b c");
  await c.disconnect();
  await raise("cursor", "d");

  c = await connect(stomp, login("cora", "cursor"));
  sub = await c.subscribe(inbox, { cursor: a.headers["message-id"] as string });
  assert.equal(sub.receipt.headers["resumed"], "true");
  assert.equal(await types(sub.messages, 3), "b c d");
  await sub.unsubscribe();
  await raise("cursor", "e");
  sub = await c.subscribe(inbox, { snapshot: "active" });
  assert.equal(await types(sub.messages, 5), "a b c d e");
  await sub.unsubscribe();
  sub = await c.subscribe(inbox, { cursor: "nonsense" });
  const gap = await sub.messages.next();
  assert.equal((JSON.parse(gap.headers["gap"] as string) as { reason: string }).reason, "epoch");
  assert.equal(await types(sub.messages, 5), "a b c d e");
  await c.disconnect();
});

test("the native inbox and this one share their cursors", async () => {
  await crew("shared");
  const c = await connect(stomp, login("sue", "shared"));
  const sub = await c.subscribe(inbox);
  await raise("shared", "a", "b");
  const a = await sub.messages.next();
  const answer = await fetch(`${gateway.url}/v1/inbox?cursor=${a.headers["message-id"]}`, {
    headers: { Authorization: `Bearer ${gateway.token("sue", { groups: ["shared"] })}` },
  });
  const page = (await answer.json()) as { entries: { alarm: { type: string } }[]; cursor: string };
  assert.deepEqual(page.entries.map((e) => e.alarm.type), ["b"]);
  assert.equal(page.cursor, (await sub.messages.next()).headers["message-id"]);
  await c.disconnect();
});

test("ack client acknowledges all up to one", async () => {
  await crew("cumulative");
  let c = await connect(stomp, login("cleo", "cumulative"));
  let sub = await c.subscribe(inbox, { ack: "client" });
  await raise("cumulative", "a", "b", "c", "d");
  await sub.messages.next();
  await sub.messages.next();
  (await sub.messages.next()).ack();
  await sub.messages.next();
  await c.disconnect();
  c = await connect(stomp, login("cleo", "cumulative"));
  sub = await c.subscribe(inbox, { ack: "client" });
  const d = await sub.messages.next();
  assert.equal(typeOf(d), "d");
  await c.receipted((headers) => d.ack(headers));
  await c.disconnect();
  c = await connect(stomp, login("cleo", "cumulative"));
  sub = await c.subscribe(inbox, { ack: "client" });
  await raise("cumulative", "e");
  assert.equal(await types(sub.messages, 1), "e");
  await c.disconnect();
});

test("ack client-individual never passes one that is not acknowledged", async () => {
  for (const version of [Versions.V1_2, Versions.V1_1]) {
    const name = `one-${version}`;
    await crew(name);
    const config = { ...login(`ina-${version}`, name), stompVersions: new Versions([version]) };
    let c = await connect(stomp, config);
    let sub = await c.subscribe(inbox, { ack: "client-individual" });
    await raise(name, "a", "b", "c");
    const [a, b, third] = [await sub.messages.next(), await sub.messages.next(), await sub.messages.next()];
    third.ack();
    a.ack();
    b.nack();
    await c.disconnect();
    c = await connect(stomp, config);
    sub = await c.subscribe(inbox, { ack: "client-individual" });
    assert.equal(await types(sub.messages, 2), "b c");
    await c.disconnect();
  }
});

test("topics, chats and applications", async () => {
  const ada = await connect(stomp, login("ada", "x"));
  const bob = await connect(stomp, login("bob", "x"));
  const [news, chat, single] = [await ada.subscribe("/topic/news"), await bob.subscribe("/chat/v1"), await bob.subscribe("/chat/single/bob")];
  await bob.send("/topic/news", "é: \\ \n", { "content-type": "text/x" });
  const heard = await news.messages.next();
  assert.equal(heard.body, "é: \\ \n");
  assert.deepEqual([heard.headers["from"], heard.headers["content-type"], heard.headers["destination"]], ["bob", "text/x", "/topic/news"]);
  await ada.send("/app/v1/chat", JSON.stringify({ content: "hi" }));
  assert.equal((await chat.messages.next()).body, '{"content":"hi"}');
  await ada.send("/chat/single/bob", "psst");
  assert.equal((await single.messages.next()).body, "psst");

  const door = (query: string, headers: Record<string, string>) => fetch(`${gateway.url}/v1/chat/http?${query}`, { headers });
  const publisher = { Authorization: `Bearer ${gateway.token("backend", { scope: "publish" })}` };
  assert.equal((await door("from=ops&to=bob&content=hello%20you", publisher)).status, 200);
  const pushed = await single.messages.next();
  assert.deepEqual(JSON.parse(pushed.body), { from: "ops", to: "bob", content: "hello you" });
  assert.deepEqual([pushed.headers["from"], pushed.headers["content-type"]], ["ops", "application/json"]);
  assert.equal((await door("from=ops&content=all", publisher)).status, 200);
  assert.deepEqual(JSON.parse((await chat.messages.next()).body), { from: "ops", content: "all" });
  assert.equal((await door("to=bob&content=x", { Authorization: `Bearer ${gateway.token("ada")}` })).status, 403);
  assert.equal((await door("to=bob&content=x", {})).status, 401);

  // Another user's chat ends the session; nobody else's.
  ada.client.subscribe("/chat/single/bob", () => assert.fail("this is bob's"), { receipt: "no" });
  const refused = await ada.errors.next();
  assert.equal(refused.headers["receipt-id"], "no");
  assert.equal((await ada.closed.next()).code, 4403);
  await bob.send("/chat/v1", "still here");
  assert.equal((await chat.messages.next()).body, "still here");
  await bob.disconnect();
});

test("what is wrong is an ERROR, and the end", async () => {
  for (const act of [
    (c: Client) => void c.begin("tx"),
    (c: Client) => c.publish({ destination: "/topic/a", headers: { transaction: "tx" } }),
    (c: Client) => c.publish({ destination: "/queue/a" }),
    (c: Client) => c.publish({ destination: "/app/nothing" }),
    (c: Client) => c.publish({ destination: "/topic/a", body: "x".repeat(20_000) }),
    (c: Client) => void c.subscribe("/elsewhere", () => {}),
    (c: Client) => c.unsubscribe("nothing"),
  ]) {
    const c = await connect(stomp, login("eve", "x"));
    act(c.client);
    assert.ok((await c.errors.next(String(act))).headers["message"]);
    assert.equal((await c.closed.next()).code, 1002);
  }
});

test("large frames may be split, and binary ones taken", async () => {
  const c = await connect(stomp, { ...login("ada", "x"), splitLargeFrames: true, maxWebSocketChunkSize: 100 });
  const b = await connect(stomp, { ...login("bea", "x"), forceBinaryWSFrames: true });
  const heard = await c.subscribe("/topic/large");
  const text = "é".repeat(5_000);
  await c.send("/topic/large", text);
  assert.equal((await heard.messages.next()).body, text);
  await b.receipted((headers) => b.client.publish({ destination: "/topic/large", binaryBody: new TextEncoder().encode(text), headers }));
  assert.equal((await heard.messages.next()).body, text);
  await c.disconnect();
  await b.disconnect();
});

test("heart-beats go both ways", async () => {
  const beats = queue<string>();
  const c = await connect(stomp, {
    ...login("ada", "x"), heartbeatIncoming: 100, heartbeatOutgoing: 100,
    debug: (line) => (line === ">>> PING" || line === "<<< PONG") && beats.put(line),
  });
  assert.equal(c.connected.headers["heart-beat"], "500,1000"); // half of the ping interval, and the whole
  const seen = new Set<string>();
  while (seen.size < 2) seen.add(await beats.next("a heart-beat"));
  await c.disconnect();

  // One that has promised to beat and does not is sent away: four of its intervals.
  const socket = new WebSocket(stomp, ["v12.stomp"]);
  const ended = queue<number>();
  const frames = queue<string>();
  socket.on("close", (code) => ended.put(code));
  socket.on("message", (data) => frames.put(String(data)));
  await within("the opening", new Promise((open) => socket.once("open", open)));
  socket.send(`CONNECT\naccept-version:1.2\nheart-beat:1,0\npasscode:${gateway.token("ada")}\n\n\0`);
  assert.match(await frames.next(), /^CONNECTED\n/);
  assert.match(await frames.next(), /^ERROR\nmessage:no heart-beat in time\n/);
  assert.equal(await ended.next(), 1001);
});

test("sessions and subscriptions are in the server's log", async () => {
  const c = await connect(stomp, login("lola", "x"));
  const session = c.connected.headers["session"];
  const sub = await c.subscribe(inbox);
  await c.subscribe("/topic/log");
  await sub.unsubscribe();
  await c.disconnect();
  const line = (what: string, more = "") => `msg="stomp: ${what}" session=${session} user=lola${more}`;
  const want = [line("connected"), line("subscribed", ` destination=${inbox}`), line("subscribed", " destination=/topic/log"), line("unsubscribed", ` destination=${inbox}`), line("unsubscribed", " destination=/topic/log"), line("disconnected")];
  for (const end = Date.now() + 20_000; want.some((text) => !gateway.log().includes(text)); await new Promise((soon) => setTimeout(soon, 20))) {
    assert.ok(Date.now() < end, `the log lacks ${want.filter((text) => !gateway.log().includes(text)).join("; ")}`);
  }
});

test("200 clients through restarts, without a lost or a repeated alarm", { timeout: 180_000 }, async () => {
  const own = await startGateway("--fold", "0", "--ping-interval", "1s");
  const alarms = 150;
  assert.equal((await own.api("PUT", "/v1/devices/plant", { groups: ["plant"] })).status, 200);
  const clients = Array.from({ length: 200 }, (_, i) => {
    // Half of them keep a cursor, the others leave that to acknowledgements.
    const acks = i % 2 === 1;
    const one = { got: [] as string[], ids: new Set<string>(), repeats: 0, wrong: [] as string[], cursor: "", ready: Promise.resolve(), client: new Client() };
    const passcode = own.token(`user-${i}`, { groups: ["plant"] });
    one.client.configure({
      webSocketFactory: () => new WebSocket(own.url.replace("http", "ws") + "/stomp", ["v12.stomp"]),
      connectHeaders: { login: "any", passcode }, reconnectDelay: 100, connectionTimeout: 5_000,
      onStompError: (frame) => one.wrong.push(frame.headers["message"] ?? ""),
    });
    one.ready = new Promise((ready) => {
      one.client.onConnect = () => {
        one.client.watchForReceipt("begun", (frame) => {
          one.cursor ||= frame.headers["cursor"] ?? "";
          ready();
        });
        one.client.subscribe(
          inbox,
          (message) => {
            const id = message.headers["message-id"] as string;
            if (message.headers["gap"]) return void one.wrong.push(message.body);
            if (one.ids.has(id)) one.repeats++;
            else one.got.push(typeOf(message));
            one.ids.add(id);
            one.cursor = id;
            if (acks) message.ack();
          },
          { receipt: "begun", ...(acks ? { ack: "client-individual" } : one.cursor ? { cursor: one.cursor } : {}) },
        );
      };
    });
    one.client.activate();
    return { ...one, one, acks };
  });
  try {
    await within("every subscription", Promise.all(clients.map((c) => c.ready)), 60_000);
    for (let n = 0; n < alarms; ) {
      const batch = Array.from({ length: 10 }, (_, i) => ({ device: "plant", type: `t${n + i}`, severity: "major", id: `plant-${n + i}` }));
      const answer = await own.api("POST", "/v1/alarms", batch).catch(() => undefined);
      if (answer?.status !== 202) continue;
      n += batch.length;
      if (n === 50) {
        await own.kill();
        await own.start();
      }
      if (n === 100) {
        await own.stop(); // with a drain
        await own.start();
      }
    }
    const want = Array.from({ length: alarms }, (_, i) => `t${i}`).join(" ");
    for (const end = Date.now() + 60_000; clients.some((c) => c.one.got.length < alarms); await new Promise((soon) => setTimeout(soon, 50))) {
      assert.ok(Date.now() < end, `clients have ${clients.map((c) => c.one.got.length).join(" ")}`);
    }
    for (const { one, acks } of clients) {
      assert.equal(one.got.join(" "), want);
      assert.deepEqual(one.wrong, []);
      // What was acknowledged in the moment of a kill may come again, and says so by its id.
      if (!acks) assert.equal(one.repeats, 0);
    }
  } finally {
    await Promise.all(clients.map((c) => c.client.deactivate({ force: true })));
    await own.stop();
  }
});
