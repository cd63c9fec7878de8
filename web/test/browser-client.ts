// The client as browsers get it, from web/dist, in a page of the gateway's origin.
import { join } from "node:path";
import { build } from "esbuild";
import type { Browser, BrowserContext, Page } from "playwright-core";
import type { Command, Factory, OpenOptions, Opened, Seen } from "./harness.js";

/** What the page offers to us. */
interface Remote {
  open(id: number, options: OpenOptions): Promise<void>;
  seen(id: number): Promise<Seen>;
  call(id: number, name: Command, args: readonly unknown[]): Promise<unknown>;
}

declare global {
  interface Window {
    remote: Remote;
  }
}

const source = `
  import { createInbox } from "./dist/client/tocsin-client.js";
  import { createFactory } from "./test/harness.ts";
  const factory = createFactory(createInbox);
  const opened = new Map();
  window.remote = {
    async open(id, options) { opened.set(id, await factory(options)); },
    seen: (id) => opened.get(id).seen(),
    call: (id, name, args) => opened.get(id).call(name, ...args),
  };
`;

let script: Promise<string> | undefined;

/** The script of the page, made once. */
function bundled(): Promise<string> {
  script ??= build({
    stdin: { contents: source, resolveDir: join(import.meta.dirname, ".."), loader: "ts" },
    bundle: true, format: "iife", target: "es2022", write: false, logLevel: "error",
  }).then(({ outputFiles }) => outputFiles[0]?.text ?? "");
  return script;
}

export interface ClientPage {
  readonly page: Page;
  readonly factory: Factory;
}

let opened = 0;

/** Opens a page of this origin, and what opens inboxes in it. */
export async function openPage(context: BrowserContext, origin: string): Promise<ClientPage> {
  const page = await context.newPage();
  // Any answer of the gateway's makes a page of its origin. One that was made up here
  // would be of no address, and may not connect to the loopback.
  await page.addInitScript(await bundled());
  await page.goto(`${origin}/v1/transports`);
  const factory: Factory = async (options) => {
    const id = ++opened;
    await page.evaluate(([key, given]) => window.remote.open(key, given), [id, options] as const);
    const client: Opened = {
      seen: () => page.evaluate((key) => window.remote.seen(key), id),
      call: (name, ...args) => page.evaluate(([key, method, rest]) => window.remote.call(key, method, rest), [id, name, args] as const),
    };
    return client;
  };
  return { page, factory };
}

/** A tab that can be out of sight, and frozen, as browsers do it. */
export interface Tab {
  readonly factory: Factory;
  /** Another tab comes to the front. */
  hide(): Promise<void>;
  show(): Promise<void>;
  /** Nothing runs in it any more. It must be hidden. */
  freeze(): Promise<void>;
  resume(): Promise<void>;
  /** document.visibilityState */
  visibility(): Promise<unknown>;
}

interface Reply {
  readonly id?: number;
  readonly error?: { readonly message: string };
  readonly result?: { readonly result?: { readonly value?: unknown }; readonly exceptionDetails?: unknown };
}

/** Opens a tab past Playwright, whose pages believe that they are always seen. All such tabs share what they store. */
export async function openTab(browser: Browser, origin: string): Promise<Tab> {
  const devtools = await browser.newBrowserCDPSession();
  const { targetId } = await devtools.send("Target.createTarget", { url: `${origin}/v1/transports` });
  const { sessionId } = await devtools.send("Target.attachToTarget", { targetId, flatten: false });
  const waiting = new Map<number, (reply: Reply) => void>();
  devtools.on("Target.receivedMessageFromTarget", (event) => {
    const reply = JSON.parse(event.message) as Reply;
    if (event.sessionId === sessionId && reply.id !== undefined) waiting.get(reply.id)?.(reply);
  });
  let sent = 0;
  async function send(method: string, params: object): Promise<Reply> {
    const id = ++sent;
    const reply = await new Promise<Reply>((done) => {
      waiting.set(id, done);
      void devtools.send("Target.sendMessageToTarget", { sessionId, message: JSON.stringify({ id, method, params }) });
    });
    waiting.delete(id);
    if (reply.error || reply.result?.exceptionDetails) throw new Error(JSON.stringify(reply));
    return reply;
  }
  const evaluate = async (expression: string) =>
    (await send("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true })).result?.result?.value;
  await evaluate(`new Promise((done) => {
    const look = () => (location.origin === ${JSON.stringify(origin)} && document.readyState === "complete" ? done() : setTimeout(look, 10));
    look();
  })`).catch(() => evaluate("0")); // a page that went away while it loaded: then the next one is there
  await evaluate(await bundled());
  const factory: Factory = async (options) => {
    const id = ++opened;
    await evaluate(`window.remote.open(${id}, ${JSON.stringify(options)})`);
    return {
      seen: async () => (await evaluate(`window.remote.seen(${id})`)) as Seen,
      call: (name, ...args) => evaluate(`window.remote.call(${id}, ${JSON.stringify(name)}, ${JSON.stringify(args)})`),
    };
  };
  const state = (name: string) => send("Page.setWebLifecycleState", { state: name });
  return {
    factory,
    async hide() {
      await devtools.send("Target.createTarget", { url: "about:blank" });
    },
    async show() {
      await devtools.send("Target.activateTarget", { targetId });
    },
    async freeze() {
      await state("frozen");
    },
    async resume() {
      await state("active");
    },
    visibility: () => evaluate("document.visibilityState"),
  };
}
