// Builds dist/, which is committed so that Go users need no Node. `make web` runs it.
// Each entry is one bundle; what a bundle may weigh is in the test of sizes.
import { build } from "esbuild";
import { rm } from "node:fs/promises";

/** One bundle each: what is built, from where, to where. */
const bundles = [
  // As it is written but shorter: nothing may be wrapped around ES5.
  { entryPoints: ["legacy/tocsin-legacy.js"], bundle: false, format: undefined, target: "es5", outfile: "dist/legacy/tocsin-legacy.js" },
];

await rm("dist", { recursive: true, force: true });
for (const bundle of bundles) {
  await build({ bundle: true, format: "esm", target: "es2022", minify: true, legalComments: "none", logLevel: "warning", ...bundle });
}
