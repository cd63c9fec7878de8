// What stands between clients and a server in the real world, and gets in the way.
import { createServer as createHttpServer, request, type IncomingHttpHeaders, type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse } from "node:http";
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
const withoutHops = (headers: IncomingHttpHeaders) => Object.fromEntries(Object.entries(headers).filter(([name]) => !HOP.has(name)));

/** What becomes of a request: it is passed on, refused, never answered, or cut after a moment. */
export type Treatment = "pass" | "refuse" | "swallow" | "cut";

/** What a proxy that speaks HTTP does to what passes. All of it may change while it runs. */
export interface Manners {
  /** Upgrades go through, if it is not false. */
  upgrades?: boolean;
  /** Bodies are collected until they are whole, or so many bytes. */
  buffer?: number;
  /** What has come is passed on every so many ms. */
  bunch?: number;
  /** What is silent for so many ms is cut. */
  idle?: number;
  /** The Date of answers is put forward by so many ms. */
  skew?: number;
  /** What was answered before is answered again. */
  cache?: boolean;
  /** Says what becomes of a request. */
  judge?: (request: IncomingMessage) => Treatment;
}

/** After how many ms a request is cut that is to be. */
const CUT_AFTER = 300;
const REFUSAL = "HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nContent-Length: 18\r\nConnection: close\r\n\r\n<h1>Forbidden</h1>";

interface Kept {
  readonly status: number;
  readonly headers: OutgoingHttpHeaders;
  readonly body: Buffer;
}

/** Passes an answer on as the manners are; kept is told of it when it is whole. */
function answer(from: IncomingMessage, res: ServerResponse, { skew, buffer, bunch }: Manners, keep: (kept: Kept) => void): void {
  const status = from.statusCode ?? 502;
  const headers: OutgoingHttpHeaders = withoutHops(from.headers);
  if (skew && from.headers.date) headers["date"] = new Date(Date.parse(from.headers.date) + skew).toUTCString();
  const all: Buffer[] = [];
  let held: Buffer[] = [];
  const flush = (): void => {
    if (!res.headersSent) res.writeHead(status, headers).flushHeaders();
    for (const part of held) res.write(part);
    held = [];
  };
  if (!bunch) flush(); // what is to be buffered are bodies
  const timer = bunch ? setInterval(flush, bunch) : undefined;
  from.on("data", (part: Buffer) => {
    held.push(part);
    all.push(part);
    if (!bunch && held.reduce((sum, { length }) => sum + length, 0) >= (buffer ?? 0)) flush();
  });
  from.on("end", () => {
    flush();
    res.end();
    keep({ status, headers, body: Buffer.concat(all) });
  });
  from.on("error", () => res.destroy());
  res.on("close", () => clearInterval(timer));
}

/** Ends each of two connections with the other. */
function bind(one: Socket, other: Socket): void {
  for (const [ended, rest] of [[one, other], [other, one]] as const) ended.on("error", () => rest.destroy()).on("close", () => rest.destroy());
}

/** A proxy that speaks HTTP. `asked` are the paths that came. */
export async function httpProxy(port: number, manners: Manners = {}): Promise<Proxy & { readonly asked: string[] }> {
  const asked: string[] = [];
  const kept = new Map<string, Kept>();
  /** Whether the request is passed on; else it was done with. */
  function passes(req: IncomingMessage, client: Socket): boolean {
    asked.push(req.url ?? "");
    const treatment = manners.judge?.(req) ?? "pass";
    if (treatment === "refuse") client.end(REFUSAL);
    if (treatment === "cut") setTimeout(() => client.destroy(), CUT_AFTER);
    return treatment === "pass" || treatment === "cut";
  }
  const server = createHttpServer((req, res) => {
    if (!passes(req, req.socket)) return;
    const key = `${req.method} ${req.url}`;
    const known = manners.cache ? kept.get(key) : undefined;
    if (known) return void res.writeHead(known.status, known.headers).end(known.body);
    // As one passes it on that has never heard of upgrades.
    const upstream = request({ port, host: "127.0.0.1", method: req.method, path: req.url, headers: withoutHops(req.headers), agent: false });
    if (manners.idle) upstream.setTimeout(manners.idle, () => upstream.destroy());
    upstream.on("response", (from) => answer(from, res, manners, (whole) => manners.cache && kept.set(key, whole)));
    upstream.on("error", () => (res.headersSent ? res.destroy() : res.writeHead(504).end()));
    res.on("close", () => upstream.destroy());
    req.pipe(upstream);
  });
  server.on("upgrade", (req: IncomingMessage, client: Socket, head: Buffer) => {
    if (!passes(req, client)) return;
    if (manners.upgrades === false) return void client.end(REFUSAL);
    const upstream = connect(port, "127.0.0.1");
    if (manners.idle) upstream.setTimeout(manners.idle, () => upstream.destroy());
    const lines = req.rawHeaders.flatMap((name, i, all) => (i % 2 ? [] : [`${name}: ${all[i + 1]}`]));
    upstream.write(`${req.method} ${req.url} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`);
    upstream.write(head);
    bind(client, upstream);
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
