// The client's npm package: what is in it, and that a project that has it can use it.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { startGateway, type Gateway } from "./gateway.js";
import { installClient } from "./package.js";

const run = promisify(execFile);
const compiler = join(import.meta.dirname, "..", "node_modules", "typescript", "bin", "tsc");
let gateway: Gateway;
let project: string;
let files: readonly string[];
before(async () => {
  project = mkdtempSync(join(tmpdir(), "tocsin-package-"));
  writeFileSync(join(project, "package.json"), JSON.stringify({ type: "module", private: true }));
  [gateway, files] = await Promise.all([startGateway(), installClient(project)]);
});
after(async () => {
  await gateway?.stop();
  rmSync(project, { recursive: true, force: true });
});

test("it has the client, its types, its manual and the licence, and nothing besides", () => {
  const rest = files.filter((path) => !/^dist\/types\/[a-z]+\.d\.ts$/.test(path));
  assert.deepEqual(rest.sort(), ["LICENSE", "README.md", "dist/tocsin-client.js", "package.json"]);
  assert.ok(files.includes("dist/types/index.d.ts"));
  const { dependencies } = JSON.parse(readFileSync(join(project, "node_modules/tocsin-client/package.json"), "utf8")) as { dependencies?: object };
  assert.equal(dependencies, undefined);
});

test("a project imports it, and is told of an alarm", { timeout: 60_000 }, async () => {
  await gateway.api("POST", "/v1/alarms", { device: "d1", type: "t", severity: "major" });
  writeFileSync(join(project, "main.js"), `
    import { createInbox, DEFAULTS, InboxError } from "tocsin-client";
    const inbox = createInbox({ url: process.argv[2], token: process.argv[3] });
    inbox.on("entries", ([{ alarm }]) => {
      console.log(alarm.device, DEFAULTS.hello, typeof InboxError);
      inbox.close();
    });`);
  const { stdout } = await run(process.execPath, [join(project, "main.js"), gateway.url, gateway.token("anna", { groups: ["*"] })]);
  assert.equal(stdout.trim(), "d1 5000 function");
});

test("its types are those of a strict project", { timeout: 60_000 }, async () => {
  const source = (wrong: string) => `
    import { createInbox, type Alarm, type ConnectionState } from "tocsin-client";
    const inbox = createInbox({ url: "https://alarms.example.com", getToken: async () => "t" });
    const alarms: readonly Alarm[] = inbox.alarms();
    inbox.on("state", (state: ConnectionState) => state.name === "offline" && console.log(state.retryAt + alarms.length));
    inbox.on("change", ({ unread }) => console.log(unread.toFixed()));
    ${wrong}`;
  const check = (name: string, text: string) => {
    writeFileSync(join(project, name), text);
    return run(process.execPath, [compiler, "--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom", "--types", "", join(project, name)], { cwd: project });
  };
  await check("right.ts", source(""));
  await assert.rejects(check("wrong.ts", source(`inbox.on("change", ({ unred }) => unred);`)), ({ stdout }: { stdout: string }) => stdout.includes("unred"));
});
