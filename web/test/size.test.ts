// What may be loaded. A bundle that grows beyond its limit needs a reason, and a line here.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

/** Bytes by the path below dist: as it is loaded by who takes gzip, and by who may not. */
const LIMITS: readonly (readonly [file: string, packing: "gzipped" | "as it is", limit: number])[] = [
  ["client/tocsin-client.js", "gzipped", 10_000],
  ["miniprogram/tocsin.js", "gzipped", 12_000],
  ["legacy/tocsin-legacy.js", "as it is", 6_144],
];

for (const [file, packing, limit] of LIMITS) {
  test(`${file} has at most ${limit} bytes, ${packing}`, (t) => {
    const bytes = readFileSync(join(import.meta.dirname, "..", "dist", file));
    const size = packing === "gzipped" ? gzipSync(bytes, { level: 9 }).length : bytes.length;
    t.diagnostic(`${size} bytes`);
    assert.ok(size <= limit, `${size} bytes`);
  });
}
