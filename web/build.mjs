// Builds dist/, which is committed so that Go users need no Node. `make web` runs it.
// Each entry is one bundle; what a bundle may weigh is in the test of sizes.
import { build } from "esbuild";
import { rm } from "node:fs/promises";

/** What is copied as it is. */
const copied = { ".html": "copy", ".svg": "copy" };

/** One bundle each: what is built, from where, to where. */
const bundles = [
  { entryPoints: ["page/page.ts", "page/page.css", "page/index.html", "page/icon.svg"], outdir: "dist/page", loader: copied },
  { entryPoints: ["console/console.ts", "console/console.css", "console/index.html", "console/icon.svg", "console/doctor.ts", "console/doctor.css", "console/doctor.html"], outdir: "dist/console", loader: copied, legalComments: "eof" },
];

await rm("dist", { recursive: true, force: true });
for (const bundle of bundles) {
  await build({ bundle: true, format: "esm", target: "es2022", minify: true, legalComments: "none", logLevel: "warning", ...bundle });
}
