// A real nginx with docker/nginx.conf, as it is but for addresses and the places of its files.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./gateway.js";

export interface Front {
  readonly url: string;
  stop(): Promise<void>;
}

/** The ways to a node that clients are tested on. */
export const ways = ["direct", "through nginx"] as const;

/** What clients connect to on a way to the node on this port. It must be stopped. */
export async function startFront(way: (typeof ways)[number], port: number): Promise<Front> {
  if (way === "through nginx") return startNginx([port]);
  return { url: `http://127.0.0.1:${port}`, stop: () => Promise.resolve() };
}

/** Starts nginx in front of nodes on these ports. It must be stopped. */
export async function startNginx(ports: readonly number[]): Promise<Front> {
  const program = ["/usr/sbin/nginx", "/usr/bin/nginx"].find((place) => existsSync(place));
  if (!program) throw new Error("nginx is needed, .ci/setup installs it");
  const dir = mkdtempSync(join(tmpdir(), "tocsin-nginx-"));
  const port = await freePort();
  let conf = readFileSync(join(import.meta.dirname, "..", "..", "docker", "nginx.conf"), "utf8");
  const servers = ports.map((p, i) => `server 127.0.0.1:${p}${i < ports.length - 1 ? " max_fails=1 fail_timeout=1s" : ""}`);
  for (const [from, to] of [
    ["server 127.0.0.1:8080", servers.join(";\n        ")],
    ["listen 127.0.0.1:8000", `listen 127.0.0.1:${port}`],
    ["worker_processes auto", "worker_processes 1"],
    ["worker_connections 65536", "worker_connections 1024"],
    ["/tmp/tocsin-nginx", join(dir, "nginx")],
  ] as const) {
    if (!conf.includes(from)) throw new Error(`docker/nginx.conf has no ${from} any more`);
    conf = conf.replaceAll(from, to);
  }
  const file = join(dir, "nginx.conf");
  writeFileSync(file, conf);
  const child = spawn(program, ["-c", file, "-e", "stderr", "-g", "daemon off;"], { stdio: ["ignore", "ignore", "pipe"] });
  let told = "";
  child.stderr.on("data", (part) => (told += String(part)));
  const over = new Promise((done) => child.once("exit", done));
  for (const end = Date.now() + 20_000; !(await listens(port)); ) {
    if (child.exitCode !== null || Date.now() > end) throw new Error(`nginx does not listen:\n${told}`);
    await new Promise((soon) => setTimeout(soon, 10));
  }
  return {
    url: `http://127.0.0.1:${port}`,
    stop: async () => {
      child.kill("SIGTERM");
      await over;
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(port, "127.0.0.1", () => resolve(true));
    probe.once("error", () => resolve(false));
    probe.once("connect", () => probe.destroy());
  });
}
