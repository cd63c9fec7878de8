// The real gateway, started for a test on a free port with a data directory of its own.
import { spawn, execFile, type ChildProcess } from "node:child_process";
import { createHmac, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const root = join(import.meta.dirname, "..", "..");

/** Directories that go with this process. */
const leftovers: string[] = [];
process.once("exit", () => leftovers.forEach((dir) => rmSync(dir, { recursive: true, force: true })));

const built = new Map<string, Promise<string>>();

/** binary builds the program once a process, or takes TOCSIN_BINARY for one without tags. */
function binary(tags: string): Promise<string> {
  const given = process.env["TOCSIN_BINARY"];
  if (given && !tags) return Promise.resolve(given);
  const program = built.get(tags) ?? (async () => {
    const dir = mkdtempSync(join(tmpdir(), "tocsin-web-"));
    leftovers.push(dir);
    const file = join(dir, "tocsin");
    await run("go", ["build", "-tags", tags, "-o", file, "./server/cmd/tocsin"], { cwd: root });
    return file;
  })();
  built.set(tags, program);
  return program;
}

/** freePort is a port of the loopback that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() => (address && typeof address === "object" ? resolve(address.port) : reject(new Error("no port"))));
    });
  });
}

export interface TokenClaims {
  readonly groups?: readonly string[];
  readonly scope?: string;
  /** Seconds. */
  readonly ttl?: number;
  readonly jti?: string;
}

/** A running gateway. stop() ends it; kill() is kill -9; both are followed by start() where it goes on. */
export interface Gateway {
  readonly url: string;
  readonly port: number;
  start(): Promise<void>;
  stop(): Promise<void>;
  kill(): Promise<void>;
  /** Signs a token of its secret. */
  token(user: string, claims?: TokenClaims): string;
  /** Asks the API as root, who may do all; what is no string is sent as JSON. */
  api(method: string, path: string, body?: unknown): Promise<{ status: number; body: unknown }>;
  /** What it has logged. */
  log(): string;
}

/** Starts a gateway with further arguments of `tocsin serve`. It must be stopped. */
export function startGateway(...args: string[]): Promise<Gateway> {
  return startBuild("", args);
}

/** The same of a build with tags. */
export async function startBuild(tags: string, args: readonly string[]): Promise<Gateway> {
  const file = await binary(tags);
  const dir = mkdtempSync(join(tmpdir(), "tocsin-data-"));
  leftovers.push(dir);
  const key = join(dir, "jwt.key");
  const secret = randomBytes(32).toString("hex");
  writeFileSync(key, secret, { mode: 0o600 });
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  let child: ChildProcess | undefined;
  let logged = "";

  async function start(): Promise<void> {
    const one = spawn(
      file,
      ["serve", "--data", join(dir, "log"), "--http", `127.0.0.1:${port}`, "--ops", "", "--admin", "public", "--jwt-hs256-file", key, "--drain", "0", ...args],
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    child = one;
    one.stdout.on("data", (part) => (logged += String(part)));
    one.stderr.on("data", (part) => (logged += String(part)));
    for (const end = Date.now() + 20_000; ; ) {
      const answer = await fetch(`${url}/v1/transports`).catch(() => null);
      if (answer?.ok) return void (await answer.arrayBuffer());
      if (one.exitCode !== null || Date.now() > end) throw new Error(`the gateway does not serve:\n${logged}`);
      await new Promise((soon) => setTimeout(soon, 20));
    }
  }

  async function end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const one = child;
    child = undefined;
    if (!one || one.exitCode !== null || one.signalCode !== null) return;
    const over = new Promise((done) => one.once("exit", done));
    one.kill(signal);
    await over;
  }

  function token(user: string, claims: TokenClaims = {}): string {
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const { ttl = 3600, ...rest } = claims;
    const text = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub: user, exp: Math.floor(Date.now() / 1000) + ttl, ...rest })}`;
    return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
  }

  async function api(method: string, path: string, body?: unknown): Promise<{ status: number; body: unknown }> {
    const answer = await fetch(url + path, {
      method,
      headers: {
        Authorization: `Bearer ${token("root", { scope: "inbox publish admin", groups: ["*"] })}`,
        ...(body === undefined ? {} : { "Content-Type": typeof body === "string" ? "application/x-ndjson" : "application/json" }),
      },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await answer.text();
    return { status: answer.status, body: text.startsWith("{") || text.startsWith("[") ? JSON.parse(text) : text };
  }

  await start();
  return {
    url, port, start, token, api,
    stop: () => end("SIGTERM"),
    kill: () => end("SIGKILL"),
    log: () => logged,
  };
}
