// A client of alarm push (docs/compat/alarm-push.md) as others would write it: with a protobuf
// library of its own, from the published messages.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { join } from "node:path";
import protobuf from "protobufjs";
import { WebSocket } from "ws";
import { startGateway, type Gateway } from "../gateway";
import { startFront, ways, type Front } from "../nginx";

interface Notice {
  readonly cursor: string;
  readonly alarmId: string;
  readonly device: string;
  readonly type: string;
  readonly severity: string;
  readonly state: string;
  readonly rev: number;
}

interface Frame {
  readonly loginReply?: { readonly ok: boolean; readonly user: string; readonly reason: string; readonly cursor: string };
  readonly alarm?: Notice;
  readonly heartbeat?: { readonly unixMs: number };
}

for (const way of ways) describe(way, () => {
  const messages = join(import.meta.dirname, "..", "..", "..", "transports", "alarmpush", "alarmpushpb", "alarmpush.proto");
  let gateway: Gateway;
  let front: Front;
  let frames: protobuf.Type;

  before(async () => {
    frames = (await protobuf.load(messages)).lookupType("tocsin.alarmpush.Frame");
    gateway = await startGateway("--device-time", "trust", "--fold", "0");
    front = await startFront(way, gateway.port);
  });
  after(() => Promise.all([front.stop(), gateway.stop()]));

  /** A client that connects again with the cursor it has, until it is stopped. */
  function client(token: string, cursor = "") {
    const notices: Notice[] = [];
    const replies: NonNullable<Frame["loginReply"]>[] = [];
    let heartbeats = 0;
    let closed = 0;
    let stopped = false;
    let socket: WebSocket;
    const waiting = new Set<() => void>();

    const say = (frame: Record<string, unknown>) => socket.send(frames.encode(frames.fromObject(frame)).finish());

    function connect() {
      socket = new WebSocket(front.url.replace("http", "ws") + "/ws/alarm");
      socket.on("open", () => say({ login: { token, cursor } }));
      socket.on("error", () => undefined); // the close follows
      socket.on("close", (code) => {
        closed = code;
        waiting.forEach((check) => check());
        if (!stopped && code !== 4401) setTimeout(connect, 50);
      });
      socket.on("message", (data, binary) => {
        assert.ok(binary);
        const frame = frames.toObject(frames.decode(data as Buffer), { longs: Number, defaults: true, oneofs: true }) as Frame;
        if (frame.loginReply) {
          replies.push(frame.loginReply);
          if (frame.loginReply.cursor) cursor = frame.loginReply.cursor;
        }
        if (frame.alarm) {
          notices.push(frame.alarm);
          cursor = frame.alarm.cursor;
        }
        if (frame.heartbeat) heartbeats++;
        waiting.forEach((check) => check());
      });
    }
    connect();

    /** until waits for something to be so. */
    const until = (what: string, holds: () => boolean) =>
      new Promise<void>((resolve, reject) => {
        const late = setTimeout(() => reject(new Error(`${what}: ${notices.length} notices, closed ${closed}`)), 30_000);
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
      notices, replies, say, until,
      heartbeats: () => heartbeats,
      closed: () => closed,
      stop: () => {
        stopped = true;
        socket.close();
      },
    };
  }

  const raise = (lines: readonly Record<string, unknown>[]) => gateway.api("POST", "/v1/alarms", lines);

  test("every change of a group's alarms is told to its users alone", async () => {
    await gateway.api("PUT", "/v1/devices/860000000000017", { groups: ["fleet-7"] });
    const ann = client(gateway.token("ann", { groups: ["fleet-7"] }));
    const eve = client(gateway.token("eve", { groups: ["fleet-8"] }));
    await ann.until("the login", () => ann.replies.length === 1);
    await eve.until("the login", () => eve.replies.length === 1);
    assert.equal(ann.replies[0]?.ok, true);
    assert.equal(ann.replies[0]?.user, "ann");
    await raise([{ device: "860000000000017", type: "overspeed", severity: "major" }]);
    await ann.until("a notice", () => ann.notices.length === 1);
    const notice = ann.notices[0]!;
    assert.deepEqual(
      { ...notice, cursor: "", alarmId: "" },
      { cursor: "", alarmId: "", device: "860000000000017", type: "overspeed", severity: "major", state: "unhandled", rev: 1 },
    );
    const answer = await fetch(`${front.url}/v1/alarms/${encodeURIComponent(notice.alarmId)}`, {
      headers: { Authorization: `Bearer ${gateway.token("ann", { groups: ["fleet-7"] })}` },
    });
    assert.equal(answer.status, 200);
    await answer.arrayBuffer();
    await gateway.api("POST", `/v1/alarms/${encodeURIComponent(notice.alarmId)}/ack`, {});
    await raise([{ device: "860000000000017", type: "overspeed", severity: "major", state: "cleared" }]);
    await ann.until("the rest", () => ann.notices.length === 3);
    assert.deepEqual(ann.notices.map((n) => n.state), ["unhandled", "handled", "cleared"]);
    ann.say({ heartbeat: { unixMs: Date.now() } });
    await ann.until("a heartbeat", () => ann.heartbeats() > 0);
    assert.equal(eve.notices.length, 0);
    ann.stop();
    eve.stop();
  });

  test("who is not logged in is told why and dropped", async () => {
    const nobody = client("nobody");
    await nobody.until("the end", () => nobody.closed() !== 0);
    assert.equal(nobody.replies[0]?.ok, false);
    assert.notEqual(nobody.replies[0]?.reason, "");
    assert.equal(nobody.closed(), 4401);
  });

  test("a cursor goes on where it was, through a kill", async () => {
    const total = 300;
    await gateway.api("PUT", "/v1/devices/d2", { groups: ["yard"] });
    const bob = client(gateway.token("bob", { groups: ["yard"] }));
    await bob.until("the login", () => bob.replies.length === 1);
    for (let n = 0; n < total; n += 50) {
      await raise(Array.from({ length: 50 }, (_, i) => ({ device: "d2", type: `t${n + i}`, severity: "minor", id: `k${n + i}` })));
      if (n === 100) {
        await gateway.kill();
        await gateway.start();
      }
    }
    await bob.until("all of them", () => bob.notices.length >= total);
    assert.deepEqual(bob.notices.map((n) => n.type), Array.from({ length: total }, (_, i) => `t${i}`));
    bob.stop();
  });
});
