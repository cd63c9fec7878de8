// sockjs-client as npm has it, over every transport that it has: in Node what works there, in a real
// browser the others. The services are those of the conformance build (docs/conformance.md); STOMP is that
// of an ordinary one.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { Client, type IFrame } from "@stomp/stompjs";
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
type SocketClass = new (url: string, protocols: null, options: { transports: string[] }) => Socket;

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
    const socket = new Class(url, null, { transports: [transport] });
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
  gateway = await startGateway();
  browser = await startBrowser();
  elsewhere = createServer((_, answer) => answer.setHeader("Content-Type", "text/html").end("<!doctype html><title>t</title>"));
  await new Promise<void>((listening) => elsewhere.listen(0, "127.0.0.1", listening));
  elsewhereURL = `http://localhost:${(elsewhere.address() as AddressInfo).port}/`;
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
