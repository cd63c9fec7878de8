// What docs/clients shows is run, against the real gateway: blocks that are marked
// "run", with what they are expected to say.
import assert from "node:assert/strict";
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { startBrowser } from "./browser.js";
import { startGateway, type Gateway } from "./gateway.js";
import { guide, snippet, somebody, tryPage, type Places } from "./guide.js";
import { installClient } from "./package.js";
import { eventually } from "./wait.js";

let gateway: Gateway;
let dir: string;
before(async () => {
  dir = mkdtempSync(join(tmpdir(), "tocsin-guides-"));
  [gateway] = await Promise.all([startGateway("--allowed-origins", "*"), installClient(dir)]);
});
after(async () => {
  await gateway?.stop();
  rmSync(dir, { recursive: true, force: true });
});

/** A program that is running, and what it has said. */
function start(command: string, args: readonly string[], env: Record<string, string>): { said(): string; kill(): Promise<void> } {
  let said = "";
  const child: ChildProcess = spawn(command, args, { cwd: dir, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  const over = new Promise<void>((done) => child.once("exit", () => done()));
  child.stdout?.on("data", (part) => (said += String(part)));
  child.stderr?.on("data", (part) => (said += String(part)));
  return {
    said: () => said,
    async kill() {
      child.kill("SIGKILL");
      await over;
    },
  };
}

/** A program that follows an inbox tells what there is and what comes; killed and started again, only what is new. */
async function follows(name: string, command: string, args: readonly string[], acknowledges: boolean): Promise<void> {
  const who = somebody(gateway);
  const env = { TOCSIN_URL: gateway.url, TOCSIN_TOKEN: who.token, TOCSIN_CURSOR: join(dir, `${name}.cursor`) };
  await who.raise("before");
  const first = start(command, args, env);
  try {
    await eventually(`${name}: what was there`, () => first.said().includes(`${who.user}-before`), 60_000);
    await who.raise("during");
    await eventually(`${name}: what came`, () => first.said().includes(`${who.user}-during`), 30_000);
    if (acknowledges) await eventually(`${name}: its acknowledgement`, async () => (await who.ackedBy("during")) === who.user, 30_000);
    // Its own acknowledgement comes back as an entry; then it has nothing left to say.
    if (acknowledges) await eventually(`${name}: the entry of it`, () => /alarm\.acked critical fire on \S+-during/.test(first.said()), 30_000);
  } catch (error) {
    throw new Error(`${String(error)}; it said:\n${first.said()}`);
  } finally {
    await first.kill();
  }
  await who.raise("after");
  const second = start(command, args, env);
  try {
    await eventually(`${name}: what came while it was away`, () => second.said().includes(`${who.user}-after`), 60_000);
    assert.ok(!second.said().includes(`alarm.raised critical fire on ${who.user}-before`), `${name} told again what it had told:\n${second.said()}`);
  } finally {
    await second.kill();
  }
}

/** Where things are in <tocsin-inbox>. */
const element: Places = { live: '.connection[data-state="live"]', line: (device) => `.lines .line:has-text("${device}")` };

const file = (name: string, text: string) => {
  writeFileSync(join(dir, name), text);
  return join(dir, name);
};

test("Python", { timeout: 120_000 }, () => follows("python", "python3", [file("inbox.py", snippet("python.md", "inbox.py"))], true));

test("Node, with the npm package", { timeout: 120_000 }, () => follows("node", process.execPath, [file("inbox.mjs", snippet("node.md", "inbox.mjs"))], true));

test("Go", { timeout: 180_000 }, async () => {
  const program = join(dir, "inbox");
  await promisify(execFile)("go", ["build", "-o", program, file("main.go", snippet("go.md", "main.go"))], { cwd: dir, env: { ...process.env, GO111MODULE: "off", GOFLAGS: "" } });
  await follows("go", program, [], true);
});

test("Java", { timeout: 180_000 }, async (t) => {
  const version = await promisify(execFile)("java", ["-version"]).catch(() => null);
  if (!version) return t.diagnostic("there is no Java here: its guide was not run");
  await follows("java", "java", [file("Inbox.java", snippet("java.md", "Inbox.java"))], false);
});

test("curl", { timeout: 60_000 }, async () => {
  const who = somebody(gateway);
  await who.raise("1");
  const text = guide("curl.md");
  const blocks = [...text.matchAll(/^<!-- run -->\n```sh\n([^]*?)^```\n((?:<!-- expect: .* -->\n)*)/gm)];
  assert.ok(blocks.length >= 4);
  const script = blocks.map((match, i) => `echo; echo '<<block ${i}>>'\n${match[1]}`).join("\n");
  const { stdout } = await promisify(execFile)("bash", ["-euo", "pipefail", "-c", script], { env: { ...process.env, TOCSIN_URL: gateway.url, TOCSIN_TOKEN: who.token } });
  const said = stdout.split(/^<<block \d+>>$/m).slice(1);
  for (const [i, match] of blocks.entries()) {
    const wanted = [...(match[2] ?? "").matchAll(/<!-- expect: (.*) -->/g)].map((found) => found[1] ?? "");
    assert.ok(wanted.length > 0);
    for (const want of wanted) assert.ok(said[i]?.includes(want), `block ${i} says no ${want}:\n${said[i]}`);
  }
});

for (const page of ["inbox.html", "page.html", "old.html"]) {
  test(`in a browser: ${page}`, { timeout: 60_000 }, async () => {
    const text = snippet("html.md", page);
    assert.match(text, /https:\/\/alarms\.example\.com\/assets\//);
    // The page is of an origin of its own; the files come from the gateway.
    const html = text.replaceAll("https://alarms.example.com", gateway.url);
    const browser = await startBrowser();
    try {
      await tryPage(gateway, browser, html, {}, page === "inbox.html" ? element : undefined);
    } finally {
      await browser.close();
    }
  });
}
