// sockjs-client as npm has it, over every transport that it has: in Node what works there, in a real
// browser the others. The services are those of the conformance build (docs/conformance.md); STOMP is that
// of an ordinary one.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "@stomp/stompjs";
import type { Browser, Page } from "playwright-core";
import { startBrowser } from "../browser.js";
import { startBuild, startGateway, type Gateway } from "../gateway.js";
import { startNginx, type Front } from "../nginx.js";

interface Socket {
  onopen: (() => void) | null;
  onmessage: ((event: { data: string }) => void) | null;
  onclose: ((event: { code: number; reason: string; wasClean: boolean }) => void) | null;
  readonly transport: string;
  send(text: string): void;
  close(code?: number, reason?: string): void;
}
type SocketClass = new (url: string, protocols: null, options: { transports: string[]; timeout?: number }) => Socket;

const require = createRequire(import.meta.url);
const SockJS = require("sockjs-client") as SocketClass;

const inNode = ["websocket", "xhr-streaming", "eventsource", "xhr-polling"];
const sameOrigin = ["websocket", "xhr-streaming", "eventsource", "htmlfile", "xhr-polling", "jsonp-polling"];
const otherOrigin = ["websocket", "xhr-streaming", "eventsource", "iframe-eventsource", "iframe-htmlfile", "xhr-polling", "iframe-xhr-polling", "jsonp-polling"];

const texts = [
  "plain", "", "\"quoted\" \\ /", "line\nbreak\r\ttab\u0000", "ä 告警 \u{1f6a8}", "</script><!-- & '", "\u2028\u2029\u200c\ufeff\ufff0\uffff",
  "x".repeat(20_000), ...Array.from({ length: 30 }, (_, i) => `number ${i}`),
];

interface Told {
  readonly transport: string;
  readonly got: string[];
  readonly code: number;
  readonly reason: string;
}

/** What a page does, too: it must not use anything from outside of it. */
function echoed(Class: SocketClass, url: string, transport: string, send: readonly string[]): Promise<Told> {
  return new Promise((resolve, reject) => {
    const socket = new Class(url, null, { transports: [transport], timeout: 10_000 });
    const got: string[] = [];
    let used = "";
    const late = setTimeout(() => reject(new Error(`${transport}: ${got.length} of ${send.length} came back`)), 30_000);
    socket.onopen = () => {
      used = socket.transport;
      for (const text of send) socket.send(text);
    };
    socket.onmessage = (event) => {
      got.push(event.data);
      if (got.length === send.length) socket.close(1000, "enough");
    };
    socket.onclose = (event) => {
      clearTimeout(late);
      resolve({ transport: used, got, code: event.code, reason: event.reason });
    };
  });
}

let conformance: Gateway;
let gateway: Gateway;
let browser: Browser;
/** Serves a page of another site. */
let elsewhere: Server;
let elsewhereURL: string;

before(async () => {
  conformance = await startBuild("conformance", []);
  browser = await startBrowser();
  elsewhere = createServer((_, answer) => answer.setHeader("Content-Type", "text/html").end("<!doctype html><title>t</title>"));
  await new Promise<void>((listening) => elsewhere.listen(0, "127.0.0.1", listening));
  elsewhereURL = `http://localhost:${(elsewhere.address() as AddressInfo).port}/`;
  gateway = await startGateway("--allowed-origins", elsewhereURL.slice(0, -1));
});
after(async () => {
  await browser?.close();
  elsewhere?.close();
  await Promise.all([conformance?.stop(), gateway?.stop()]);
});

for (const transport of inNode) {
  test(`${transport}: messages go both ways, in Node`, async () => {
    const told = await echoed(SockJS, `${conformance.url}/echo`, transport, texts);
    assert.equal(told.transport, transport);
    assert.deepEqual(told.got, texts);
    assert.deepEqual([told.code, told.reason], [1000, "enough"]);
  });

  test(`${transport}: the server's close is told, in Node`, async () => {
    const told = await echoed(SockJS, `${conformance.url}/close`, transport, ["never answered"]);
    assert.deepEqual([told.code, told.reason, told.got], [3000, "Go away!", []]);
  });
}

test("websocket falls back where there is none", async () => {
  const told = await new Promise<string>((resolve, reject) => {
    const socket = new SockJS(`${conformance.url}/disabled_websocket_echo`, null, { transports: ["websocket", "xhr-streaming"] });
    socket.onopen = () => {
      resolve(socket.transport);
      socket.close();
    };
    socket.onclose = (event) => reject(new Error(`${event.code} ${event.reason}`));
  });
  assert.equal(told, "xhr-streaming");
});

const scripts = {
  sockjs: readFileSync(require.resolve("sockjs-client/dist/sockjs.min.js"), "utf8"),
  stomp: readFileSync(require.resolve("@stomp/stompjs").replace(/bundles.*|esm6.*|lib.*/, "bundles/stomp.umd.min.js"), "utf8"),
};

/** A page with the clients' scripts. A document that was not really served is of no address space, from
 * which Chromium lets nothing reach the loopback: own pages are the endpoint's greeting. */
async function pageAt(url: string): Promise<Page> {
  const page = await browser.newPage();
  // Where iframe.html gets the client's script, without a network.
  await page.route("https://cdn.jsdelivr.net/**", (route) => route.fulfill({ contentType: "text/javascript", body: scripts.sockjs }));
  await page.goto(url);
  // What esbuild puts around functions, which go there as text.
  await page.addScriptTag({ content: "globalThis.__name = (f) => f" });
  for (const content of Object.values(scripts)) await page.addScriptTag({ content });
  return page;
}

interface Window {
  readonly SockJS: SocketClass;
  readonly StompJs: { readonly Client: typeof Client };
}

async function echoedInPage(page: Page, url: string, transport: string, send: readonly string[]): Promise<Told> {
  return page.evaluate(
    ([code, ...args]) => {
      const run = new Function(`return (${code as string})`)() as typeof echoed;
      return run((globalThis as unknown as Window).SockJS, ...(args as [string, string, string[]]));
    },
    [String(echoed), url, transport, [...send]] as const,
  );
}

for (const [where, transports] of [["its own", sameOrigin], ["another", otherOrigin]] as const) {
  for (const transport of transports) {
    test(`${transport}: messages go both ways and the close is told, in a page of ${where} origin`, async () => {
      const page = await pageAt(where === "another" ? elsewhereURL : `${conformance.url}/echo`);
      try {
        const told = await echoedInPage(page, `${conformance.url}/echo`, transport, texts);
        assert.equal(told.transport, transport);
        assert.deepEqual(told.got, texts);
        assert.equal(told.code, 1000);
        const closed = await echoedInPage(page, `${conformance.url}/close`, transport, ["never answered"]);
        assert.deepEqual([closed.code, closed.reason, closed.got], [3000, "Go away!", []]);
      } finally {
        await page.close();
      }
    });
  }
}

interface Read {
  readonly transport: string;
  readonly devices: string[];
  /** Where the next one goes on. */
  readonly cursor: string;
}

/** One client of STOMP reads so many alarms, calling ready when it has subscribed, and says goodbye. A page does it, too. */
function read(
  Class: SocketClass, StompClient: typeof Client, url: string, transport: string, token: string, from: string, want: number,
  ready: () => unknown,
): Promise<Read> {
  return new Promise((resolve, reject) => {
    let socket: Socket | undefined;
    const devices: string[] = [];
    let readied: unknown; // what is raised may come before the answer to whom raises it
    const late = setTimeout(() => reject(new Error(`${transport}: ${devices.length} of ${want} came`)), 30_000);
    const client = new StompClient({
      webSocketFactory: () => (socket = new Class(url, null, { transports: [transport], timeout: 10_000 })) as unknown as WebSocket,
      connectHeaders: { Authorization: `Bearer ${token}` }, reconnectDelay: 0, heartbeatIncoming: 5000, heartbeatOutgoing: 5000,
    });
    client.onConnect = () => {
      client.watchForReceipt("subscribed", () => void (readied = ready()));
      client.subscribe("/user/queue/inbox", (message) => {
        const entry = JSON.parse(message.body) as { alarm?: { device: string } };
        if (entry.alarm) devices.push(entry.alarm.device);
        if (devices.length < want) return;
        const used = socket?.transport ?? "";
        client.onDisconnect = () => {
          clearTimeout(late);
          void Promise.resolve(readied).then(() => resolve({ transport: used, devices, cursor: message.headers["message-id"] ?? "" }), reject);
          void client.deactivate();
        };
        void client.deactivate();
      }, { cursor: from, receipt: "subscribed" });
    };
    client.onStompError = (frame) => reject(new Error(`${transport}: ${frame.headers["message"]} ${frame.body}`));
    client.activate();
  });
}

let raised = 0;
/** Raises so many alarms, and returns whose they are. */
async function raise(on: Gateway, many: number): Promise<string[]> {
  const devices = Array.from({ length: many }, () => `device-${++raised}`);
  const answer = await on.api("POST", "/v1/alarms", devices.map((device) => ({ device, type: "smoke", severity: "major" })));
  assert.ok(answer.status >= 200 && answer.status < 300, JSON.stringify(answer));
  return devices;
}

const everything = { groups: ["*"] };

for (const transport of inNode) {
  test(`${transport}: STOMP reads an inbox, is one connection, and resumes, in Node`, async () => {
    const user = `ann-${transport}`;
    const token = gateway.token(user, everything);
    let first: string[] = [];
    const one = await read(SockJS, Client, `${gateway.url}/endpoint-websocket`, transport, token, "latest", 40, async () => {
      assert.deepEqual(await transportsOf(user), ["stomp"]);
      first = await raise(gateway, 40);
    });
    assert.equal(one.transport, transport);
    assert.deepEqual(one.devices, first);
    const missed = await raise(gateway, 7);
    const two = await read(SockJS, Client, `${gateway.url}/endpoint-websocket`, transport, token, one.cursor, 7, () => undefined);
    assert.deepEqual(two.devices, missed);
    // A poller that goes is missed after 5 s.
    for (const end = Date.now() + 15_000; (await transportsOf(user)).length > 0; await sleep(100)) {
      assert.ok(Date.now() < end, "the connection is still listed");
    }
  });
}

/** What the user's connections are. */
async function transportsOf(user: string): Promise<string[]> {
  const { body } = await gateway.api("GET", `/v1/connections?user=${user}`);
  return (body as { connections: { transport: string }[] }).connections.map((c) => c.transport);
}

async function readInPage(page: Page, url: string, transport: string, token: string, from: string, want: number, ready: () => unknown): Promise<Read> {
  const name = `ready${++raised}`;
  await page.exposeFunction(name, ready);
  return page.evaluate(
    ([code, name, ...args]) => {
      const run = new Function(`return (${code as string})`)() as typeof read;
      const own = globalThis as unknown as Window & Record<string, () => unknown>;
      return run(own.SockJS, own.StompJs.Client, ...(args as [string, string, string, string, number]), own[name as string]!);
    },
    [String(read), name, url, transport, token, from, want] as const,
  );
}

for (const [where, transports] of [["its own", ["htmlfile", "jsonp-polling"]], ["another", ["xhr-streaming", "iframe-eventsource", "iframe-htmlfile", "iframe-xhr-polling"]]] as const) {
  for (const transport of transports) {
    test(`${transport}: STOMP reads an inbox, and resumes, in a page of ${where} origin`, async () => {
      const url = `${gateway.url}/endpoint-websocket`;
      const page = await pageAt(where === "another" ? elsewhereURL : url);
      try {
        const token = gateway.token(`bob-${transport}`, everything);
        let first: string[] = [];
        const one = await readInPage(page, url, transport, token, "latest", 25, async () => (first = await raise(gateway, 25)));
        assert.equal(one.transport, transport);
        assert.deepEqual(one.devices, first);
        const missed = await raise(gateway, 5);
        const two = await readInPage(page, url, transport, token, one.cursor, 5, () => undefined);
        assert.deepEqual(two.devices, missed);
      } finally {
        await page.close();
      }
    });
  }
}

test("pages of origins that are not named are kept out", async () => {
  const other = await startGateway();
  const page = await pageAt(elsewhereURL);
  try {
    for (const transport of ["websocket", "xhr-streaming", "eventsource", "iframe-xhr-polling", "jsonp-polling"]) {
      const told = await echoedInPage(page, `${other.url}/endpoint-websocket`, transport, ["x"]);
      assert.deepEqual([told.transport, told.got], ["", []], transport);
    }
  } finally {
    await page.close();
    await other.stop();
  }
});

for (const transport of inNode) {
  test(`${transport}: a client comes back by itself after a kill, and has each alarm once`, async () => {
    const node = await startGateway();
    const devices: string[] = [];
    let cursor = "latest";
    const subscribed = waiter();
    const client = new Client({
      webSocketFactory: () => new SockJS(`${node.url}/endpoint-websocket`, null, { transports: [transport], timeout: 10_000 }) as unknown as WebSocket,
      connectHeaders: { passcode: node.token("eve", everything) }, reconnectDelay: 100,
    });
    client.onConnect = () => {
      client.watchForReceipt("subscribed", (receipt) => {
        cursor = receipt.headers["cursor"] ?? cursor;
        subscribed.ring();
      });
      client.subscribe("/user/queue/inbox", (message) => {
        const entry = JSON.parse(message.body) as { type: string; alarm?: { device: string } };
        if (entry.alarm) devices.push(entry.alarm.device);
        cursor = message.headers["message-id"] ?? cursor;
        subscribed.ring();
      }, { cursor, receipt: "subscribed" });
    };
    try {
      client.activate();
      const want: string[] = [];
      for (let round = 0; round < 3; round++) {
        await subscribed.until(() => cursor !== "latest");
        want.push(...(await raise(node, 10)));
        await node.kill();
        await node.start();
        want.push(...(await raise(node, 10)));
        await subscribed.until(() => devices.length >= want.length);
        assert.deepEqual(devices, want);
      }
    } finally {
      await client.deactivate();
      await node.stop();
    }
  });
}

/** Something to wait for that happens again and again. */
function waiter(): { ring(): void; until(so: () => boolean): Promise<void> } {
  let waiting: (() => void)[] = [];
  return {
    ring: () => {
      for (const done of waiting) done();
      waiting = [];
    },
    until: async (so) => {
      for (const end = Date.now() + 30_000; !so(); ) {
        assert.ok(Date.now() < end, "it did not come");
        await Promise.race([new Promise<void>((rung) => waiting.push(rung)), sleep(200)]);
      }
    },
  };
}

test("through nginx with two nodes, every request of a session comes to its node", async () => {
  const nodes = await Promise.all([startGateway(), startGateway()]);
  const front: Front = await startNginx(nodes.map((node) => node.port));
  try {
    for (const transport of inNode) {
      let first: string[] = [];
      // Each has a log of its own, and the hash of one address leads to one of them.
      const [there] = await Promise.all(nodes.map(async (node) => ((await reaches(front.url, node)) ? node : undefined))).then((all) => all.filter((node) => node !== undefined));
      assert.ok(there);
      const one = await read(SockJS, Client, `${front.url}/endpoint-websocket`, transport, there.token("ann", everything), "latest", 40,
        async () => (first = await raise(there, 40)));
      assert.equal(one.transport, transport);
      assert.deepEqual(one.devices, first);
    }
  } finally {
    await front.stop();
    await Promise.all(nodes.map((node) => node.stop()));
  }
});

/** Says whether nginx leads this process to the node: the nodes' secrets differ. */
async function reaches(front: string, node: Gateway): Promise<boolean> {
  const answer = await fetch(`${front}/endpoint-websocket/000/probe${++raised}/xhr`, { method: "POST", headers: { Authorization: `Bearer ${node.token("ann")}` } });
  await answer.text();
  return answer.ok;
}
