// The overview: how much happens, and how fast it gets to people.
import type { Panel } from "./panel";
import { createTold, repeatedly } from "./panel";
import { createChart, shown, type Chart } from "./chart";
import { delivered, quantile, rates, stored, type Stats } from "./stats";
import { field, h, options, put, table } from "./dom";
import { number, rate, seconds, span } from "./format";
import { severities, t, transportName, transports } from "./words";

/** How often the server is asked, and over how long latencies are taken, in milliseconds. */
const every = 2000;
const average = 30_000;

/** Who polls waits as long as he wants to; these are the others. */
const streams = ["websocket", "sse"];

const kinds = [...severities, "notice"] as const;
const ofKinds = () => kinds.map((name) => ({ label: t(name), tone: name }));
const ofTransports = () => transports.map((name) => ({ label: transportName(name), tone: name }));

export const overview: Panel = {
  name: "overview",
  title: "Overview",
  open(root, api) {
    const told = createTold();
    const tiles = h("dl", { class: "tiles" });
    const share = options(h("select"), [["0.5", t("half of them")], ["0.95", "95 %"], ["0.99", "99 %"]]);
    share.value = "0.99";
    const over = options(h("select"), [["streams", t("streams")], ["", t("all transports")], ...transports.map((name) => [name, transportName(name)] as const)]);
    const charts = {
      changes: createChart(t("Changes a second, by severity"), ofKinds(), rate),
      deliveries: createChart(t("Deliveries a second, by transport"), ofTransports(), rate),
      connections: createChart(t("Connections, by transport"), ofTransports(), number, "whole"),
      byTransport: createChart(t("Delivered within, by transport"), ofTransports(), seconds, "logarithmic"),
      bySeverity: createChart(t("Delivered within, by severity"), ofKinds(), seconds, "logarithmic"),
      stored: createChart(t("Stored within, by severity"), ofKinds(), seconds, "logarithmic"),
    };
    const matrix = table("", ["", ...kinds.map((name) => ({ text: t(name), number: true }))]);
    const title = t("From stored to delivered in the last {n} min: half within / 99 % within", { n: shown / 60 });
    put(matrix.caption, title);
    matrix.root.setAttribute("aria-label", title);
    put(root,
      h("div", { class: "head" }, h("h2", {}, t("Overview")), h("span", { class: "soft", id: "node" })),
      told.root, tiles,
      h("div", { class: "charts" }, charts.changes.root, charts.deliveries.root, charts.connections.root),
      h("div", { class: "head" }, h("h3", {}, t("Latency")), h("div", { class: "filters" }, field(t("By severity, over"), over), field(t("The time within which were done"), share))),
      h("div", { class: "charts" }, charts.stored.root, charts.bySeverity.root, charts.byTransport.root),
      matrix.root,
      h("p", { class: "hint" }, t("Stored: from when an alarm happened until the log had it. Delivered: from there until the client had it; who polls waits for his next poll.")));

    const past: Stats[] = [];

    const at = (stats: Stats): number => Date.parse(stats.time);
    /** The reading so many milliseconds ago, or the oldest one since the node's start. */
    const ago = (now: Stats, milliseconds: number): Stats =>
      past.find((one) => one.started === now.started && at(one) >= at(now) - milliseconds) ?? now;

    function latencies(now: Stats): void {
      const then = ago(now, average);
      const asked = Number(share.value);
      const chosen = over.value === "streams" ? streams : over.value === "" ? transports : [over.value];
      const within = (counts: readonly number[]): number | null => quantile(now.latency.bounds, counts, asked);
      const x = at(now) / 1000;
      charts.byTransport.push(x, transports.map((name) => within(delivered(then, now, [name], ""))));
      charts.bySeverity.push(x, kinds.map((name) => within(delivered(then, now, chosen, name))));
      charts.stored.push(x, kinds.map((name) => within(stored(then, now, name))));
    }

    function cells(now: Stats): void {
      const then = ago(now, shown * 1000);
      put(matrix.body, ...transports.map((transport) => h("tr", {}, h("th", { scope: "row" }, transportName(transport)), ...kinds.map((kind) => {
        const counts = delivered(then, now, [transport], kind);
        const half = quantile(now.latency.bounds, counts, 0.5);
        return h("td", { class: "number" }, half === null ? "–" : `${seconds(half)} / ${seconds(quantile(now.latency.bounds, counts, 0.99))}`);
      }))));
    }

    function summary(now: Stats, before: Stats | undefined): void {
      const sum = (values: readonly (number | null)[]): number => values.reduce<number>((all, value) => all + (value ?? 0), 0);
      const connections = Object.values(now.connections).reduce((all, one) => all + one.connections, 0);
      const live = delivered(ago(now, average), now, streams, "");
      const tile = (name: string, value: string): HTMLElement => h("div", {}, h("dt", {}, name), h("dd", { class: "number" }, value));
      put(tiles,
        tile(t("Users online"), number(now.users)),
        tile(t("Connections"), number(connections)),
        tile(t("Changes / s"), before ? rate(sum(rates(before, now, (s) => s.changes, kinds))) : "–"),
        tile(t("Deliveries / s"), before ? rate(sum(rates(before, now, (s) => s.deliveries, transports))) : "–"),
        tile(t("Streams, 99 %"), seconds(quantile(now.latency.bounds, live, 0.99))),
        tile(t("Up for"), span(at(now) - Date.parse(now.started))));
      const node = document.getElementById("node");
      if (node) node.textContent = t("node {name}, entry {head}", { name: now.node, head: now.head });
    }

    function take(now: Stats): void {
      const before = past.at(-1);
      past.push(now);
      while (past[0] && at(past[0]) < at(now) - shown * 1000) past.shift();
      const x = at(now) / 1000;
      charts.connections.push(x, transports.map((name) => now.connections[name]?.connections ?? 0));
      if (before) {
        charts.changes.push(x, rates(before, now, (s) => s.changes, kinds));
        charts.deliveries.push(x, rates(before, now, (s) => s.deliveries, transports));
        latencies(now);
      }
      summary(now, before);
      cells(now);
      for (const chart of Object.values<Chart>(charts)) chart.draw();
    }

    // Another choice is shown for all that is kept.
    for (const control of [share, over]) {
      control.addEventListener("change", () => {
        const drawn = [charts.stored, charts.bySeverity, charts.byTransport];
        for (const chart of drawn) chart.reset();
        for (const then of past.slice(1)) latencies(then);
        for (const chart of drawn) chart.draw();
      });
    }

    const stop = repeatedly(every, async () => {
      try {
        take((await api.ask("GET", "v1/stats")) as Stats);
        told.clear();
      } catch (error) {
        told.bad(error);
      }
    });
    return () => {
      stop();
      for (const chart of Object.values<Chart>(charts)) chart.close();
    };
  },
};
