// What the clients of older protocols have in common in their tests: a socket whose messages are
// waited for, and a system of its own that knows the sessions.
import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { createConnection } from "node:net";
import { freePort } from "../gateway.js";

const patience = 20_000;

/** A socket whose messages can be waited for. */
export interface Socket {
  readonly socket: WebSocket;
  /** The next message, in the order in which they came. */
  next(): Promise<string>;
  /** The code and the reason of the close; messages before it are passed over. */
  closed(): Promise<{ code: number; reason: string }>;
  send(message: string | Uint8Array<ArrayBuffer>): void;
  /** Closes in good order. */
  close(): Promise<void>;
}

/** open connects; it fails where the handshake is refused. */
export function open(url: string): Promise<Socket> {
  const socket = new WebSocket(url.replace(/^http/, "ws"));
  const messages: string[] = [];
  let ended: { code: number; reason: string } | undefined;
  let wake: (() => void) | undefined;
  socket.addEventListener("message", (event) => {
    messages.push(String(event.data));
    wake?.();
  });
  socket.addEventListener("close", (event) => {
    ended = { code: event.code, reason: event.reason };
    wake?.();
  });
  async function until<T>(what: string, look: () => T | undefined): Promise<T> {
    for (const end = Date.now() + patience; ; ) {
      const found = look();
      if (found !== undefined) return found;
      if (Date.now() > end) throw new Error(`no ${what}`);
      await new Promise<void>((soon) => {
        const late = setTimeout(soon, 100);
        wake = () => (clearTimeout(late), soon());
      });
    }
  }
  const self: Socket = {
    socket,
    next: () =>
      until("message", () => {
        if (messages.length > 0) return messages.shift();
        if (ended) throw new Error(`closed with ${ended.code} ${ended.reason}`);
        return undefined;
      }),
    closed: () => until("close", () => ended),
    send: (message) => socket.send(message),
    close: async () => {
      socket.close();
      await self.closed();
    },
  };
  return new Promise((resolve, reject) => {
    socket.addEventListener("open", () => resolve(self));
    socket.addEventListener("error", () => reject(new Error("the handshake was refused")));
  });
}

/** A web server that takes "s-1001" for user 1001, until it is dead. */
export async function startCallback() {
  const port = await freePort();
  let dead = false;
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (part) => (body += String(part)));
    request.on("end", () => {
      const { token } = JSON.parse(body) as { token: string };
      const known = /^s-(\d+)$/.exec(token);
      response.writeHead(dead ? 500 : known ? 200 : 401, { "Content-Type": "application/json" });
      response.end(known ? `{"uid":${known[1]}}` : "{}");
    });
  });
  await new Promise<void>((listening) => server.listen(port, "127.0.0.1", listening));
  return {
    url: `http://127.0.0.1:${port}/websocket_auth`,
    die: () => (dead = true),
    stop: () => new Promise((done) => (server.close(done), server.closeAllConnections())),
  };
}

/** A real redis-server, which .ci/setup installs; set stores a text. */
export async function startRedis() {
  const port = await freePort();
  const child = spawn("redis-server", ["--bind", "127.0.0.1", "--port", String(port), "--save", "", "--appendonly", "no"], { stdio: "ignore" });
  const failed = new Promise<never>((_, reject) => child.once("error", reject));
  async function command(...words: string[]): Promise<string> {
    const text = `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join("")}`;
    return new Promise((resolve, reject) => {
      const socket = createConnection(port, "127.0.0.1", () => socket.write(text));
      socket.once("data", (answer) => (socket.destroy(), resolve(String(answer))));
      socket.once("error", reject);
    });
  }
  for (const end = Date.now() + patience; ; ) {
    const answer = await Promise.race([failed, command("PING").catch(() => "")]);
    if (answer.startsWith("+PONG")) break;
    if (Date.now() > end) throw new Error("redis-server does not answer");
    await new Promise((soon) => setTimeout(soon, 20));
  }
  return {
    url: `redis://127.0.0.1:${port}`,
    command,
    stop: () => new Promise((done) => (child.once("exit", done), child.kill("SIGKILL"))),
  };
}
