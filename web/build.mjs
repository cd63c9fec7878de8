// Builds dist/, which is committed so that Go users need no Node. `make web` runs it.
// Each entry is one bundle; what a bundle may weigh is in the test of sizes.
import { build, transform } from "esbuild";
import { execFileSync } from "node:child_process";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";

/** What is copied as it is. */
const copied = { ".html": "copy", ".svg": "copy" };

/** A style sheet that a script imports is its text, without what only people read. */
const styleText = {
  name: "style-text",
  setup({ onLoad }) {
    onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const { code } = await transform(await readFile(path, "utf8"), { loader: "css", minify: true, target: "chrome123" });
      return { contents: code.trim(), loader: "text" };
    });
  },
};

/** One bundle each: what is built, from where, to where. */
const bundles = [
  { entryPoints: ["client/src/index.ts"], outfile: "dist/client/tocsin-client.js" },
  { entryPoints: { "tocsin-inbox": "inbox/index.ts" }, outdir: "dist/inbox", plugins: [styleText] },
  { entryPoints: ["page/page.ts", "page/page.css", "page/index.html", "page/icon.svg"], outdir: "dist/page", loader: copied, target: ["es2022", "chrome123"] },
  { entryPoints: ["console/console.ts", "console/console.css", "console/index.html", "console/icon.svg", "console/doctor.ts", "console/doctor.css", "console/doctor.html"], outdir: "dist/console", loader: copied, legalComments: "eof" },
  // What mini-programs take: CommonJS, and nothing newer than ES2017.
  { entryPoints: ["miniprogram/src/index.ts"], format: "cjs", target: "es2017", outfile: "dist/miniprogram/tocsin.js" },
];

/** The packages that bundles contain, by name. */
const foreign = new Map();

/** Notes the packages that something of has got into what was built. */
async function note(outputs) {
  for (const output of Object.values(outputs)) {
    for (const [path, { bytesInOutput }] of Object.entries(output.inputs)) {
      const [, folder, name] = /^(.*node_modules\/((?:@[^/]+\/)?[^/]+))\//.exec(path) ?? [];
      if (bytesInOutput === 0 || name === undefined || foreign.has(name)) continue;
      const { version } = JSON.parse(await readFile(`${folder}/package.json`, "utf8"));
      const files = (await readdir(folder)).filter((file) => /^(licen[cs]e|copying|notice)/i.test(file)).sort();
      foreign.set(name, { name, version, texts: await Promise.all(files.map((file) => readFile(`${folder}/${file}`, "utf8"))) });
    }
  }
}

await rm("dist", { recursive: true, force: true });
for (const bundle of bundles) {
  const { metafile } = await build({ metafile: true, bundle: true, format: "esm", target: "es2022", minify: true, legalComments: "none", logLevel: "warning", ...bundle });
  await note(metafile.outputs);
}
// Whose work goes along, and on what terms: docs/licences.md is made of it.
await writeFile("bundled.json", `${JSON.stringify([...foreign.values()].sort((a, b) => (a.name < b.name ? -1 : 1)), undefined, 2)}\n`);
// As it is written but shorter, and a script: a module has no `this`, which is how ES5 says window.
const legacy = await transform(await readFile("legacy/tocsin-legacy.js", "utf8"), { minify: true, target: "es5", legalComments: "none" });
await mkdir("dist/legacy");
await writeFile("dist/legacy/tocsin-legacy.js", legacy.code);
// The types of the client, as its package brings them.
execFileSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "client"], { stdio: "inherit" });
