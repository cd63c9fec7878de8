// Waiting for what comes by itself.
import assert from "node:assert/strict";

/** Waits until something is so; fails with what it was when it never is. */
export async function eventually(what: string, so: () => boolean | Promise<boolean>, ms = 15_000): Promise<void> {
  for (const end = Date.now() + ms; !(await so()); ) {
    if (Date.now() > end) assert.fail(`${what}: not in ${ms / 1000} s`);
    await new Promise((soon) => setTimeout(soon, 20));
  }
}
