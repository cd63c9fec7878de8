// The client's npm package, packed and unpacked as npm does it.
import { execFile } from "node:child_process";
import { cpSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Packs the client into node_modules below a folder; the names of its files. It is packed beside itself, so that several may do it at once. */
export async function installClient(folder: string): Promise<readonly string[]> {
  const home = join(folder, "node_modules", "tocsin-client");
  mkdirSync(home, { recursive: true });
  const root = join(import.meta.dirname, "..", "..");
  const client = join(folder, "packing", "web", "client");
  for (const part of ["LICENSE", "web/client/package.json", "web/client/README.md", "web/dist/client"]) {
    cpSync(join(root, part), join(folder, "packing", part), { recursive: true });
  }
  const { stdout } = await run("npm", ["pack", "--json", "--silent", "--pack-destination", folder], { cwd: client });
  const [packed] = JSON.parse(stdout.slice(stdout.indexOf("["))) as { filename: string; files: { path: string }[] }[];
  await run("tar", ["-xzf", join(folder, packed?.filename ?? ""), "-C", home, "--strip-components", "1"]);
  return (packed?.files ?? []).map(({ path }) => path);
}
