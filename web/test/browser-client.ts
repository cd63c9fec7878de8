// The client and <tocsin-inbox> as browsers get them, from web/dist, in a page of the gateway's origin.
import { join } from "node:path";
import { build } from "esbuild";
import type { Browser, BrowserContext, Page } from "playwright-core";
import type { Command, Factory, OpenOptions, Opened, Seen } from "./harness.js";

/** What an inbox shows: the devices of the lines that are drawn, and how many lines there are. */
export interface Lines {
  readonly devices: readonly string[];
  readonly count: number;
}

/** What the page offers to us. */
interface Remote {
  open(id: number, options: OpenOptions, shown: boolean): Promise<void>;
  lines(id: number): Lines;
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
  import "./dist/inbox/tocsin-inbox.js";
  let element;
  async function show({ share, transports, ...options }) {
    element = Object.assign(document.createElement("tocsin-inbox"), options);
    if (share === false) element.setAttribute("share", "no");
    element.transports = transports ?? null;
    element.style.height = "60rem";
    document.body.append(element);
    await null; // it opens once for all that was set
    return element.inbox;
  }
  const bare = createFactory(createInbox);
  const shown = createFactory(show);
  const opened = new Map(), elements = new Map();
  window.remote = {
    async open(id, options, visibly) {
      opened.set(id, await (visibly ? shown : bare)(options));
      if (visibly) elements.set(id, element);
    },
    lines(id) {
      const { shadowRoot } = elements.get(id);
      const devices = [...shadowRoot.querySelectorAll(".lines .device")].map((one) => one.textContent);
      return { devices, count: Number(shadowRoot.querySelector(".grid").getAttribute("aria-rowcount")) - 1 };
    },
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

/** An inbox that is on the screen. */
export interface Shown extends Opened {
  lines(): Promise<Lines>;
}

export interface ClientPage {
  readonly page: Page;
  readonly factory: Factory;
  /** The same, with <tocsin-inbox> around it; cursor and storage are the element's own. */
  show(options: OpenOptions): Promise<Shown>;
}

let opened = 0;

/** Opens a page of this origin, and what opens inboxes in it. */
export async function openPage(context: BrowserContext, origin: string): Promise<ClientPage> {
  const page = await context.newPage();
  // Any answer of the gateway's makes a page of its origin. One that was made up here
  // would be of no address, and may not connect to the loopback.
  await page.addInitScript(await bundled());
  await page.goto(`${origin}/v1/transports`);
  const open = (shown: boolean) => async (options: OpenOptions): Promise<Shown> => {
    const id = ++opened;
    await page.evaluate(([key, given, visibly]) => window.remote.open(key, given, visibly), [id, options, shown] as const);
    return {
      seen: () => page.evaluate((key) => window.remote.seen(key), id),
      call: (name, ...args) => page.evaluate(([key, method, rest]) => window.remote.call(key, method, rest), [id, name, args] as const),
      lines: () => page.evaluate((key) => window.remote.lines(key), id),
    };
  };
  return { page, factory: open(false), show: open(true) };
}

/** A tab that can be out of sight, and frozen, as browsers do it. */
export interface Tab {
  show(options: OpenOptions): Promise<Shown>;
  /** Another tab comes to the front. */
  hide(): Promise<void>;
  /** It comes to the front itself. */
  look(): Promise<void>;
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
  await evaluate(`for (const event of ["freeze", "resume"]) document.addEventListener(event, () => (window.lifecycle = event))`);
  const state = (name: string) => send("Page.setWebLifecycleState", { state: name });
  return {
    async show(options) {
      const id = ++opened;
      await evaluate(`window.remote.open(${id}, ${JSON.stringify(options)}, true)`);
      return {
        seen: async () => (await evaluate(`window.remote.seen(${id})`)) as Seen,
        call: (name, ...args) => evaluate(`window.remote.call(${id}, ${JSON.stringify(name)}, ${JSON.stringify(args)})`),
        lines: async () => (await evaluate(`window.remote.lines(${id})`)) as Lines,
      };
    },
    async hide() {
      await devtools.send("Target.createTarget", { url: "about:blank" });
    },
    async look() {
      await devtools.send("Target.activateTarget", { targetId });
    },
    async freeze() {
      for (const end = Date.now() + 5000; ; ) {
        await state("frozen"); // which a page that has just been hidden may not heed
        if ((await evaluate("window.lifecycle")) === "freeze") return;
        if (Date.now() > end) throw new Error("the tab does not freeze");
      }
    },
    async resume() {
      await state("active");
    },
    visibility: () => evaluate("document.visibilityState"),
  };
}
