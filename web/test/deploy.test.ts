// What docker/ has for container engines: whether its Dockerfile is a good one, and its
// manifests say nothing that Kubernetes does not know. What they say is compared with
// the program by docker/*_test.go.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { validate } from "dockerfile-utils";
import { parseAllDocuments } from "yaml";

const web = fileURLToPath(new URL("..", import.meta.url));
const read = (file: string) => readFileSync(new URL(`../../docker/${file}`, import.meta.url), "utf8");

const complaints = (text: string) => validate(text).map(({ message, range }) => `${range.start.line + 1}: ${message}`);

test("the Dockerfile is without fault", () => {
  const text = read("Dockerfile");
  assert.deepEqual(complaints(text), []);
  // What is looked for would be found.
  assert.notDeepEqual(complaints(text.replace("EXPOSE 8080 8081", "EXPOSE eighty")), []);
  assert.notDeepEqual(complaints(text.replace("COPY --from=build /out/tocsin /tocsin", "COPY --form=build /out/tocsin /tocsin")), []);
  assert.notDeepEqual(complaints(text.replace("STOPSIGNAL", "STOPSIGN")), []);
});

// checked has the compiler read the manifests as constants of Kubernetes' types, and
// returns what it says.
function checked(yaml: string): string {
  const source = parseAllDocuments(yaml, { version: "1.1", uniqueKeys: true, strict: true }).map((document, i) => {
    assert.deepEqual(document.errors, []);
    const manifest = document.toJS() as { apiVersion: string; kind: string };
    const group = manifest.apiVersion === "v1" ? "core/v1" : manifest.apiVersion.replace(".k8s.io", "");
    return `import type { ${manifest.kind} as K${i} } from "kubernetes-types/${group}";\nexport const m${i}: K${i} = ${JSON.stringify(manifest)};\n`;
  });
  const folder = mkdtempSync(`${web}node_modules/.manifests-`); // where the types are found
  try {
    writeFileSync(`${folder}/manifests.ts`, source.join("\n"));
    execFileSync(
      "npx",
      ["tsc", "--noEmit", "--strict", "--ignoreConfig", "--module", "esnext", "--moduleResolution", "bundler", "--types", "", `${folder}/manifests.ts`],
      { cwd: web, encoding: "utf8", stdio: "pipe" },
    );
    return "";
  } catch (e) {
    return String((e as { stdout?: string }).stdout ?? e);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("Kubernetes knows all that the manifests say", { timeout: 120_000 }, () => {
  const text = read("kubernetes.yml");
  assert.equal(checked(text), "");
  assert.match(checked(text.replace("terminationGracePeriodSeconds", "terminationGraceSeconds")), /terminationGraceSeconds/);
  assert.match(checked(text.replace("containerPort: 8080", 'containerPort: "8080"')), /number/);
});
