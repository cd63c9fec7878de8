// Proxies that do what proxies do to clients, over real sockets.
import { createServer, connect, type Socket } from "node:net";

/** What a proxy does with a connection, once it knows the request's head. */
export type Treatment = "pass" | "refuse" | "swallow" | "cut";

export interface Proxy {
  readonly url: string;
  /** Request lines that came, in order. */
  readonly lines: readonly string[];
  close(): Promise<void>;
}

/** A proxy before a port of the loopback; judge says what becomes of each request. Connections are not reused. */
export function startProxy(port: number, judge: (line: string, head: string) => Treatment, cutAfter = 300): Promise<Proxy> {
  const lines: string[] = [];
  const open = new Set<Socket>();
  const keep = (socket: Socket) => {
    open.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => open.delete(socket));
    return socket;
  };
  const server = createServer((client) => {
    keep(client).once("data", (first: Buffer) => {
      const head = first.toString("latin1");
      const line = head.slice(0, head.indexOf("\r\n"));
      lines.push(line);
      const treatment = judge(line, head);
      if (treatment === "refuse") return void client.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\nConnection: close\r\n\r\nforbidden");
      if (treatment === "swallow") return;
      const upgrade = /\r\nupgrade:/i.test(head);
      const upstream = keep(connect(port, "127.0.0.1"));
      upstream.write(upgrade ? first : Buffer.from(head.replace(/\r\nconnection:[^\r]*/i, "").replace("\r\n", "\r\nConnection: close\r\n"), "latin1"));
      client.pipe(upstream).pipe(client);
      upstream.on("close", () => client.destroy());
      client.on("close", () => upstream.destroy());
      if (treatment === "cut") setTimeout(() => client.destroy(), cutAfter);
    });
  });
  return new Promise((resolve) =>
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      resolve({
        url: `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`, lines,
        close: () => {
          for (const socket of open) socket.destroy();
          return new Promise((done) => server.close(() => done()));
        },
      });
    }),
  );
}
