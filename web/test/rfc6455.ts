// A WebSocket's client side over a real socket, as little of RFC 6455 as text frames
// need: for environments of tests that have none of their own.
import { createHash, randomBytes } from "node:crypto";
import { request } from "node:http";
import type { Duplex } from "node:stream";

export interface WireEvents {
  opened(protocol: string): void;
  message(text: string): void;
  /** 1006 where no close frame came. Comes once, and last. */
  closed(code: number, why: string): void;
}

export interface Wire {
  send(text: string): void;
  close(code: number): void;
  /** Cuts it off without a word. */
  cut(): void;
}

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const TEXT = 1, CLOSE = 8, PING = 9, PONG = 10;

/** A frame of a client, which is masked. */
function frame(op: number, payload: Buffer): Buffer {
  const n = payload.length;
  const head = Buffer.alloc(n < 126 ? 2 : n < 65_536 ? 4 : 10);
  head[0] = 0x80 | op;
  head[1] = 0x80 | (n < 126 ? n : n < 65_536 ? 126 : 127);
  if (head.length === 4) head.writeUInt16BE(n, 2);
  if (head.length === 10) head.writeBigUInt64BE(BigInt(n), 2);
  const mask = randomBytes(4);
  return Buffer.concat([head, mask, payload.map((byte, i) => byte ^ (mask[i % 4] ?? 0))]);
}

/** Takes the frames off a stream, as they are complete. */
function createReader(took: (op: number, last: boolean, payload: Buffer) => void): (part: Buffer) => void {
  let left = Buffer.alloc(0);
  return (part) => {
    left = Buffer.concat([left, part]);
    for (;;) {
      const [first = 0, second = 0] = left;
      const short = second & 0x7f;
      const head = short < 126 ? 2 : short === 126 ? 4 : 10;
      if (left.length < head) return;
      const n = short < 126 ? short : short === 126 ? left.readUInt16BE(2) : Number(left.readBigUInt64BE(2));
      if (left.length < head + n) return;
      const payload = left.subarray(head, head + n);
      left = left.subarray(head + n);
      took(first & 0x0f, (first & 0x80) !== 0, payload);
    }
  };
}

/** Opens a WebSocket. */
export function openWire(url: string, protocols: readonly string[], on: WireEvents): Wire {
  const key = randomBytes(16).toString("base64");
  let socket: Duplex | null = null;
  let over = false;
  let code = 1006;
  let text: Buffer[] = [];

  function end(why: string): void {
    if (over) return;
    over = true;
    asked.destroy();
    socket?.destroy();
    on.closed(code, why);
  }

  const read = createReader((op, last, payload) => {
    if (op === PING) socket?.write(frame(PONG, payload));
    if (op === CLOSE) {
      code = payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
      socket?.end(frame(CLOSE, payload));
    }
    if (op > TEXT) return;
    text.push(payload);
    if (!last) return;
    const whole = Buffer.concat(text).toString("utf8");
    text = [];
    if (!over) on.message(whole);
  });

  const asked = request(url.replace(/^ws/, "http"), {
    headers: {
      Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key,
      ...(protocols.length > 0 ? { "Sec-WebSocket-Protocol": protocols.join(", ") } : {}),
    },
  });
  asked.on("error", (error) => end(error.message));
  asked.on("response", (answer) => end(`status ${answer.statusCode}`));
  asked.on("upgrade", (answer, upgraded, first) => {
    if (answer.headers["sec-websocket-accept"] !== createHash("sha1").update(key + GUID).digest("base64")) return end("no handshake");
    socket = upgraded;
    if (over) return void upgraded.destroy();
    upgraded.on("data", (part: Buffer) => read(part));
    upgraded.on("error", (error) => end(error.message));
    upgraded.on("close", () => end("closed"));
    on.opened(answer.headers["sec-websocket-protocol"] ?? "");
    if (first.length > 0) read(first);
  });
  asked.end();
  return {
    send: (whole) => void socket?.write(frame(TEXT, Buffer.from(whole))),
    close(with_) {
      code = with_;
      const said = Buffer.alloc(2);
      said.writeUInt16BE(with_);
      socket?.write(frame(CLOSE, said));
    },
    cut: () => end("cut off"),
  };
}
