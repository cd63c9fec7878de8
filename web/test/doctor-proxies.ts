// Proxies that do to a connection what proxies out there do.
import { createServer, request, type IncomingMessage, type ServerResponse } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";
import type { Duplex } from "node:stream";

export interface Habits {
  /** Refuses to upgrade to a WebSocket. */
  readonly refuseUpgrade?: boolean;
  /** Passes an answer on when so many bytes have come, or at its end. */
  readonly buffer?: number;
  /** Passes on what has come every so many milliseconds. */
  readonly bunch?: number;
  /** Cuts what is silent for so many milliseconds. */
  readonly idle?: number;
  /** Puts the Date of answers forward by so many milliseconds. */
  readonly skew?: number;
  /** Answers again what it has answered before. */
  readonly cache?: boolean;
}

export interface Proxy {
  readonly url: string;
  close(): Promise<void>;
}

/** Starts a proxy to a server on a port of the loopback. It must be closed. */
export async function startProxy(port: number, habits: Habits): Promise<Proxy> {
  const kept = new Map<string, { readonly status: number; readonly headers: IncomingMessage["headers"]; readonly body: Buffer }>();
  const sockets = new Set<Duplex>();

  function pass(answer: IncomingMessage, response: ServerResponse, key: string): void {
    const headers = { ...answer.headers };
    if (habits.skew && headers.date) headers.date = new Date(Date.parse(headers.date) + habits.skew).toUTCString();
    let held: Buffer[] = [];
    let size = 0;
    let begun = false;
    const all: Buffer[] = [];
    const flush = (): void => {
      if (!begun) response.writeHead(answer.statusCode ?? 502, headers);
      begun = true;
      for (const part of held.splice(0)) response.write(part);
      size = 0;
    };
    const timer = habits.bunch ? setInterval(flush, habits.bunch) : undefined;
    if (!habits.buffer && !habits.bunch) {
      flush();
      response.flushHeaders(); // as they come
    }
    answer.on("data", (part: Buffer) => {
      held.push(part);
      all.push(part);
      size += part.length;
      if (!habits.bunch && size >= (habits.buffer ?? 0)) flush();
    });
    answer.on("end", () => {
      clearInterval(timer);
      flush();
      response.end();
      kept.set(key, { status: answer.statusCode ?? 502, headers, body: Buffer.concat(all) });
    });
    answer.on("error", () => response.destroy());
    response.on("close", () => {
      clearInterval(timer);
      held = [];
    });
  }

  const server = createServer((asked, response) => {
    const key = `${asked.method} ${asked.url}`;
    const known = habits.cache ? kept.get(key) : undefined;
    if (known) return void response.writeHead(known.status, known.headers).end(known.body);
    const onward = request({ host: "127.0.0.1", port, method: asked.method, path: asked.url, headers: { ...asked.headers, connection: "close" } });
    if (habits.idle) onward.setTimeout(habits.idle, () => onward.destroy());
    onward.on("response", (answer) => {
      if (habits.idle) answer.socket.setTimeout(habits.idle, () => response.destroy());
      pass(answer, response, key);
    });
    onward.on("error", () => (response.headersSent ? response.destroy() : response.writeHead(504).end()));
    response.on("close", () => onward.destroy());
    asked.pipe(onward);
  });

  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });

  server.on("upgrade", (asked: IncomingMessage, socket: Duplex, head: Buffer) => {
    if (habits.refuseUpgrade) return void socket.end("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    const onward = connect(port, "127.0.0.1", () => {
      const lines = asked.rawHeaders.flatMap((name, i) => (i % 2 === 0 ? [`${name}: ${asked.rawHeaders[i + 1] ?? ""}`] : []));
      onward.write(`${asked.method} ${asked.url} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`);
      onward.write(head);
      onward.pipe(socket).pipe(onward);
    });
    sockets.add(onward);
    if (habits.idle) onward.setTimeout(habits.idle, () => onward.destroy());
    for (const [one, other] of [[onward, socket], [socket, onward]] as const) {
      one.on("error", () => other.destroy());
      one.on("close", () => other.destroy());
    }
  });

  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => new Promise((closed) => {
      server.close(() => closed());
      for (const socket of sockets) socket.destroy();
    }),
  };
}
