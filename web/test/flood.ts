// A flood of alarms, in the midst of which the gateway is killed.
import assert from "node:assert/strict";
import type { Gateway } from "./gateway.js";
import { eventually } from "./wait.js";

const RATE = 127; // a second
const TOTAL = 4 * RATE;

/** Raises 127 alarms a second for four seconds, of devices of a group, and kills the gateway after a third of them; the devices. */
export async function floodThroughKill(gateway: Gateway, group: string): Promise<readonly string[]> {
  const devices = Array.from({ length: TOTAL }, (_, i) => `${group}-flood-${i}`);
  const directory = devices.map((device) => JSON.stringify({ device, groups: [group] }));
  assert.equal((await gateway.api("POST", "/v1/directory", directory.join("\n"))).status, 200);
  const began = Date.now();
  let killed: Promise<void> | undefined;
  for (let sent = 0; sent < TOTAL; ) {
    const due = devices.slice(sent, Math.floor(((Date.now() - began) * RATE) / 1000));
    const lines = due.map((device) => JSON.stringify({ device, type: "t", severity: "major", id: `flood/${device}` })).join("\n");
    // What was not answered is sent again with the same ids.
    await eventually("stored", async () => due.length === 0 || (await gateway.api("POST", "/v1/alarms", lines).catch(() => null))?.status === 202, 30_000);
    sent += due.length;
    if (sent > TOTAL / 3) killed ??= gateway.kill().then(() => gateway.start());
    await new Promise((soon) => setTimeout(soon, 20));
  }
  await killed;
  return devices;
}
