// What stands between clients and a server in the real world, and gets in the way.
import { createServer as createHttpServer, request, type IncomingMessage, type ServerResponse } from "node:http";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

export interface Proxy {
  /** Where it listens. */
  readonly url: string;
  /** Connections of clients that are open. */
  open(): number;
  /** Connections of clients that were cut so far. */
  cuts(): number;
  /** Cuts all connections there are. */
  cut(): void;
  /** Forwards nothing any more on the connections there are, and does not say so; later ones work. */
  freeze(): void;
  close(): Promise<void>;
}

/** Listens on the loopback and keeps track of the clients. */
async function listen(server: Server, frozen: WeakSet<Socket>): Promise<Proxy> {
  const sockets = new Set<Socket>();
  let cuts = 0;
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {}); // its close follows
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const cut = () => {
    for (const socket of sockets) socket.destroy();
    cuts += sockets.size;
  };
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    open: () => sockets.size,
    cuts: () => cuts,
    cut,
    freeze() {
      for (const socket of sockets) frozen.add(socket);
    },
    close() {
      cut();
      return new Promise((done) => server.close(() => done()));
    },
  };
}

/** A tunnel, as a load balancer is one. With idle, it cuts what was silent for so many ms. */
export function tunnel(port: number, idle = 0): Promise<Proxy & { readonly idled: () => number }> {
  const frozen = new WeakSet<Socket>();
  let idled = 0;
  const server = createServer((client) => {
    const upstream = connect(port, "127.0.0.1");
    const end = () => {
      client.destroy();
      upstream.destroy();
    };
    let timer: NodeJS.Timeout | undefined;
    const busy = () => {
      clearTimeout(timer);
      if (idle) timer = setTimeout(() => void (idled++, end()), idle);
    };
    const pass = (from: Socket, to: Socket) =>
      from.on("data", (part: Buffer) => {
        busy();
        if (!frozen.has(client)) to.write(part);
      }).on("close", () => {
        clearTimeout(timer);
        if (!frozen.has(client)) end();
      });
    upstream.on("error", end);
    pass(client, upstream);
    pass(upstream, client);
    busy();
  });
  return listen(server, frozen).then((proxy) => ({ ...proxy, idled: () => idled }));
}

const HOP = new Set(["connection", "upgrade", "keep-alive", "transfer-encoding", "sec-websocket-key", "sec-websocket-version"]);

/** Passes a request on as a proxy does that has never heard of upgrades. */
function pass(port: number, req: IncomingMessage, answer: (from: IncomingMessage) => void, fail: () => void) {
  const headers = Object.fromEntries(Object.entries(req.headers).filter(([name]) => !HOP.has(name)));
  const upstream = request({ port, host: "127.0.0.1", method: req.method, path: req.url, headers }, answer);
  upstream.on("error", fail);
  req.pipe(upstream);
  return upstream;
}

export interface Manners {
  /** Upgrades go through. */
  upgrades: boolean;
  /** Bodies are collected until they are whole, or so many bytes; 0: not at all. */
  buffer: number;
}

/** A proxy that speaks HTTP, with manners that may change while it runs. */
export async function httpProxy(port: number, manners: Manners): Promise<Proxy & { readonly asked: string[] }> {
  const asked: string[] = []; // the paths
  const forward = (from: IncomingMessage, res: ServerResponse) => {
    res.writeHead(from.statusCode ?? 502, Object.fromEntries(Object.entries(from.headers).filter(([name]) => !HOP.has(name))));
    if (!manners.buffer) {
      res.flushHeaders();
      return void from.pipe(res);
    }
    let held: Buffer[] = [];
    let size = 0;
    const flush = () => {
      for (const part of held) res.write(part);
      held = [];
      size = 0;
    };
    res.flushHeaders();
    from.on("data", (part: Buffer) => {
      held.push(part);
      if ((size += part.length) >= manners.buffer) flush();
    });
    from.on("end", () => {
      flush();
      res.end();
    });
  };
  const server = createHttpServer((req, res) => {
    asked.push(req.url ?? "");
    const upstream = pass(port, req, (from) => forward(from, res), () => res.destroy());
    res.on("close", () => upstream.destroy());
  });
  server.on("upgrade", (req: IncomingMessage, client: Socket, head: Buffer) => {
    asked.push(req.url ?? "");
    if (!manners.upgrades) return void client.end("HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nContent-Length: 18\r\nConnection: close\r\n\r\n<h1>Forbidden</h1>");
    const upstream = connect(port, "127.0.0.1");
    const lines = req.rawHeaders.flatMap((name, i, all) => (i % 2 ? [] : [`${name}: ${all[i + 1]}`]));
    upstream.write(`${req.method} ${req.url} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`);
    upstream.write(head);
    const end = () => {
      client.destroy();
      upstream.destroy();
    };
    client.on("error", end).on("close", end);
    upstream.on("error", end).on("close", end);
    upstream.pipe(client);
    client.pipe(upstream);
  });
  return { ...(await listen(server, new WeakSet())), asked };
}

/** A proxy from the last century: HTTP/1.0 to the server, one request a connection. */
export function http10Proxy(port: number): Promise<Proxy> {
  const server = createServer((client) => {
    let head = "";
    let upstream: Socket | undefined;
    client.on("data", (part: Buffer) => {
      if (upstream) return void upstream.write(part);
      head += part.toString("latin1");
      const end = head.indexOf("\r\n\r\n");
      if (end < 0) return;
      const [first = "", ...lines] = head.slice(0, end).split("\r\n");
      const kept = lines.filter((line) => !HOP.has((line.split(":")[0] ?? "").toLowerCase()));
      upstream = connect(port, "127.0.0.1");
      upstream.write(Buffer.from(`${first.replace("HTTP/1.1", "HTTP/1.0")}\r\n${kept.join("\r\n")}\r\n\r\n${head.slice(end + 4)}`, "latin1"));
      upstream.on("error", () => client.destroy());
      upstream.pipe(client);
    });
    client.on("close", () => upstream?.destroy());
  });
  return listen(server, new WeakSet());
}
