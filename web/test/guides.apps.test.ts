// What docs/clients shows for frameworks is run: React and Vue in Chromium, WeChat and
// uni-app on a phone that stands in for theirs.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { join } from "node:path";
import { build, type Plugin } from "esbuild";
import type { Browser } from "playwright-core";
import { compileScript, parse } from "vue/compiler-sfc";
import { startBrowser } from "./browser.js";
import { startGateway, type Gateway } from "./gateway.js";
import { snippet, somebody, tryPage, web } from "./guide.js";
import { eventually } from "./wait.js";
import { createPhone } from "./wx.js";

let gateway: Gateway;
let browser: Browser;
before(async () => {
  [gateway, browser] = await Promise.all([startGateway("--allowed-origins", "*"), startBrowser()]);
});
after(async () => {
  await browser?.close();
  await gateway?.stop();
});

/** What a project has of ours, by the names it is imported by. */
const built: Readonly<Record<string, string>> = {
  "tocsin-client": join(web, "dist/client/tocsin-client.js"), "./tocsin.js": join(web, "dist/miniprogram/tocsin.js"),
};

/** The files of a project that are not on the disk, by the names they are imported by. */
const project = (files: Readonly<Record<string, string>>): Plugin => ({
  name: "project",
  setup({ onLoad, onResolve }) {
    onResolve({ filter: /.*/ }, ({ path }) => (path in files ? { path, namespace: "project" } : path in built ? { path: built[path] ?? "" } : undefined));
    onLoad({ filter: /.*/, namespace: "project" }, ({ path }) => ({ contents: files[path] ?? "", loader: "jsx", resolveDir: web }));
  },
});

/** Bundles what begins with a file of a project. */
async function bundle(files: Readonly<Record<string, string>>): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: ["main"], bundle: true, write: false, format: "iife", globalName: "app", jsx: "automatic", logLevel: "error",
    plugins: [project(Object.fromEntries(Object.entries(files).map(([name, text]) => [name, text.replaceAll("https://alarms.example.com", gateway.url)])))],
    define: { "process.env.NODE_ENV": '"production"', __VUE_OPTIONS_API__: "false", __VUE_PROD_DEVTOOLS__: "false", __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: "false" },
  });
  return outputFiles[0]?.text ?? "";
}

const page = `<!DOCTYPE html><meta charset="utf-8"><title>t</title><div id="app"></div><script src="/main.js"></script>`;

test("React", { timeout: 60_000 }, async () => {
  const script = await bundle({
    main: `import { StrictMode } from "react"; import { createRoot } from "react-dom/client"; import { Alarms } from "alarms";
      createRoot(document.querySelector("#app")).render(<StrictMode><Alarms /></StrictMode>);`,
    alarms: snippet("react.md", "inbox.jsx"),
  });
  await tryPage(gateway, browser, page, { "main.js": ["text/javascript", script] });
});

test("Vue", { timeout: 60_000 }, async () => {
  const { descriptor, errors } = parse(snippet("vue.md", "Alarms.vue"));
  assert.deepEqual(errors, []);
  const script = await bundle({
    main: `import { createApp } from "vue"; import Alarms from "alarms"; createApp(Alarms).mount("#app");`,
    alarms: compileScript(descriptor, { id: "alarms", inlineTemplate: true }).content,
    "./inbox.js": snippet("vue.md", "inbox.js"),
  });
  await tryPage(gateway, browser, page, { "main.js": ["text/javascript", script] });
});

interface PageOptions {
  data: { alarms: { device: string; acked: boolean; id: string }[]; unread: number; state: string };
  offs?: (() => void)[];
  onLoad(): void;
  onUnload(): void;
  acknowledge(event: object): void;
}

test("WeChat", { timeout: 60_000 }, async () => {
  const who = somebody(gateway);
  const phone = createPhone([new URL(gateway.url).host]);
  const { request } = phone.wx;
  // The site's own server, which makes a token of what WeChat says.
  const wx = Object.assign(phone.wx, {
    login: ({ success }: { success(told: { code: string }): void }) => success({ code: "a-code" }),
    request(option: Parameters<typeof request>[0]) {
      if (!option.url.startsWith("https://www.example.com/")) return request(option);
      assert.deepEqual(option.data as unknown, { code: "a-code" });
      option.success({ statusCode: 200, header: {}, data: { token: who.token } as unknown as string });
      return { abort() {} };
    },
  });
  let app: { inbox: { close(): void } } | undefined;
  let shown: PageOptions | undefined;
  const run = new Function("wx", "App", "getApp", "Page", `${await bundle({ main: `import "app"; import "page";`, app: snippet("miniprogram.md", "app.js"), page: snippet("miniprogram.md", "inbox.js") })}`);
  run(wx, (options: typeof app) => (app = options), () => app, (options: PageOptions) => (shown = options));
  assert.ok(app && shown);
  const one: PageOptions & { setData?(data: object): void } = shown;
  one.setData = (data) => Object.assign(one.data, data);
  one.onLoad();
  try {
    await eventually("it is live", () => one.data.state === "live");
    await who.raise("1");
    await eventually("the alarm", () => one.data.alarms[0]?.device === `${who.user}-1` && one.data.unread === 1);
    one.acknowledge({ currentTarget: { dataset: { id: one.data.alarms[0]?.id } } });
    await eventually("it is acknowledged", () => one.data.alarms[0]?.acked === true);
    assert.equal(await who.ackedBy("1"), who.user);
    one.onUnload();
  } finally {
    app.inbox.close();
  }
});

test("uni-app", { timeout: 60_000 }, async () => {
  const who = somebody(gateway);
  const phone = createPhone([new URL(gateway.url).host]);
  const run = new Function("uni", "getToken", `${await bundle({ main: snippet("miniprogram.md", "uni-inbox.js") })}; return app;`);
  const { inbox, seen } = run(phone.wx, async () => who.token) as { inbox: { close(): void }; seen: { alarms: { device: string }[]; counts: { unread: number }; state: { name: string } } };
  try {
    await eventually("it is live", () => seen.state.name === "live");
    await who.raise("1");
    await eventually("the alarm", () => seen.alarms[0]?.device === `${who.user}-1` && seen.counts.unread === 1);
  } finally {
    inbox.close();
  }
});
