// The client as browsers get it, from web/dist, in a page of the gateway's origin.
import { join } from "node:path";
import { build } from "esbuild";
import type { BrowserContext, Page } from "playwright-core";
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
