// What may be loaded: how large it is, and in which language of which year. A bundle that
// grows beyond its limit needs a reason, and a line here.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";

const web = join(import.meta.dirname, "..");

/** Bytes by the path below dist: as it is loaded by who takes gzip, and by who may not. */
const LIMITS: readonly (readonly [file: string, packing: "gzipped" | "as it is", limit: number])[] = [
  ["client/tocsin-client.js", "gzipped", 10_000],
  ["miniprogram/tocsin.js", "gzipped", 12_000],
  ["legacy/tocsin-legacy.js", "as it is", 6_144],
];

for (const [file, packing, limit] of LIMITS) {
  test(`${file} has at most ${limit} bytes, ${packing}`, (t) => {
    const bytes = readFileSync(join(web, "dist", file));
    const size = packing === "gzipped" ? gzipSync(bytes, { level: 9 }).length : bytes.length;
    t.diagnostic(`${size} bytes`);
    assert.ok(size <= limit, `${size} bytes`);
  });
}

for (const [file, year] of [["legacy/tocsin-legacy.js", "es5"], ["miniprogram/tocsin.js", "es2017"], ["client/tocsin-client.js", "es2022"], ["inbox/tocsin-inbox.js", "es2022"]] as const) {
  test(`es-check takes ${file} for ${year}`, async () => {
    // What mini-programs lack of ES2017's successors comes with the bundle (miniprogram/src/library.ts).
    const more = { es5: ["--checkFeatures"], es2017: [], es2022: ["--module", "--checkFeatures"] }[year];
    await promisify(execFile)(join(web, "node_modules", ".bin", "es-check"), [year, join(web, "dist", file), ...more]);
  });
}
