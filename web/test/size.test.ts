// What may be loaded, gzipped. A bundle that grows beyond its limit needs a reason, and a line here.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

/** Bytes, gzipped, by the path below dist. */
const LIMITS: Readonly<Record<string, number>> = {
  "client/tocsin-client.js": 10_000,
};

for (const [file, limit] of Object.entries(LIMITS)) {
  test(`${file} has at most ${limit} bytes, gzipped`, (t) => {
    const size = gzipSync(readFileSync(join(import.meta.dirname, "..", "dist", file)), { level: 9 }).length;
    t.diagnostic(`${size} bytes`);
    assert.ok(size <= limit, `${size} bytes`);
  });
}
