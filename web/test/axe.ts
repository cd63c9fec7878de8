// What axe has to say of a page.
import assert from "node:assert/strict";
import axe from "axe-core";
import type { Page } from "playwright-core";

/** Sees to it that axe has looked, finds nothing, and that the page does not scroll sideways. */
export async function inspect(page: Page, what: string): Promise<void> {
  await page.evaluate(axe.source); // past the page's policy
  const { violations, looked, beyond } = await page.evaluate(async () => {
    const found = await axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] });
    return {
      violations: found.violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id} at ${JSON.stringify(node.target)}: ${node.html} ${node.failureSummary ?? ""}`)),
      looked: found.passes.some(({ id }) => id === "color-contrast"),
      beyond: document.documentElement.scrollWidth - innerWidth,
    };
  });
  assert.deepEqual(violations, [], what);
  assert.ok(looked, `${what}: axe has not looked`);
  assert.ok(beyond <= 0, `${what}: it is ${beyond} px too wide`);
}
