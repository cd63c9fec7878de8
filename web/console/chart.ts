// A chart of the last minutes, drawn by uPlot, with its legend as text.
import uPlot from "uplot";
import { h, put } from "./dom";
import { language, t } from "./words";

export interface Series {
  readonly label: string;
  /** The name of a colour in tokens.css, without its dashes. */
  readonly tone: string;
}

export interface Chart {
  readonly root: HTMLElement;
  /** Adds a value for each series at a time, in seconds. */
  push(at: number, values: readonly (number | null)[]): void;
  /** Draws what was pushed; what is told is the newest. */
  draw(): void;
  /** Forgets what was pushed. */
  reset(): void;
  close(): void;
}

/** How much is shown, in seconds. */
export const shown = 600;

/** The least that an axis of time spans, in seconds. */
const least = 60;

const height = 150;
const dark = matchMedia("(prefers-color-scheme: dark)");
const colour = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** The powers of ten from one to another. */
function powers(from: number, to: number): number[] {
  const list: number[] = [];
  for (let n = Math.round(Math.log10(from)); n <= Math.round(Math.log10(to)); n++) list.push(10 ** n);
  return list;
}

/** Makes a chart. `tell` puts a value into words, for the legend and the axis. */
export function createChart(title: string, series: readonly Series[], tell: (value: number) => string, scale: "linear" | "whole" | "logarithmic" = "linear"): Chart {
  const logarithmic = scale === "logarithmic";
  const data: (number | null)[][] = [[], ...series.map(() => [])];
  const plot = h("div", { class: "plot", role: "img" });
  const values = series.map(() => h("b", { class: "number" }, "–"));
  const legend = h("ul", { class: "legend" }, ...series.map((one, i) => {
    const mark = h("span", { class: "mark", "aria-hidden": "true" });
    mark.style.background = `var(--${one.tone})`;
    return h("li", {}, mark, one.label, " ", values[i] ?? null);
  }));
  const root = h("figure", { class: "sheet chart" }, h("figcaption", {}, h("h3", {}, title)), plot, legend);

  let drawn: uPlot | null = null;

  function begin(): void {
    drawn?.destroy();
    const grid = { stroke: colour("line"), width: 1 };
    const axis = { stroke: colour("soft"), grid, ticks: { ...grid, size: 4 }, font: "11px system-ui, sans-serif" };
    drawn = new uPlot({
      width: Math.max(plot.clientWidth, 120), height,
      legend: { show: false }, cursor: { show: false }, padding: [8, 26, 0, 0],
      scales: {
        x: { time: true, range: (_u, min, max) => [Math.max(Math.min(min, max - least), max - shown), max] },
        y: logarithmic ? { distr: 3, range: (_u, min, max) => [10 ** Math.floor(Math.log10(min || 0.001)), 10 ** Math.ceil(Math.log10(max || 1) + 0.001)] } : { range: (_u, _min, max) => [0, Math.max(max * 1.15, 1)] },
      },
      axes: [
        { ...axis, size: 28, space: 72, values: (_u, ticks) => ticks.map((tick) => new Date(tick * 1000).toLocaleTimeString(language === "zh" ? "zh-CN" : "en-GB", { hour: "2-digit", minute: "2-digit", ...((ticks[1] ?? 0) - (ticks[0] ?? 0) < 60 ? { second: "2-digit" } : {}) })) },
        { ...axis, size: 60, ...(scale === "whole" ? { incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 1e6] } : {}), ...(logarithmic ? { splits: (_u: uPlot, _i: number, from: number, to: number) => powers(from, to) } : {}), values: (_u, ticks) => ticks.map((tick) => (tick === null ? "" : tell(tick))) },
      ],
      series: [{}, ...series.map((one) => ({ label: one.label, stroke: colour(one.tone), width: 1.5, points: { show: false }, spanGaps: logarithmic }))],
    }, data as uPlot.AlignedData, plot);
  }

  const again = (): void => begin();
  const resized = new ResizeObserver(() => drawn?.setSize({ width: Math.max(plot.clientWidth, 120), height }));
  resized.observe(plot);
  dark.addEventListener("change", again);

  return {
    root,
    push(at, now) {
      data[0]?.push(at);
      series.forEach((_one, i) => data[i + 1]?.push(now[i] ?? null));
      while ((data[0]?.[0] ?? at) < at - shown) for (const line of data) line.shift();
    },
    reset() {
      for (const line of data) line.length = 0;
    },
    draw() {
      if (!drawn) begin();
      drawn?.setData(data as uPlot.AlignedData);
      const told = series.map((one, i) => {
        const last = data[i + 1]?.at(-1) ?? null;
        const text = last === null ? "–" : tell(last);
        const slot = values[i];
        if (slot) put(slot, text);
        return `${one.label} ${text}`;
      });
      plot.setAttribute("aria-label", `${title}: ${t("now")} ${told.join(", ")}`);
    },
    close() {
      resized.disconnect();
      dark.removeEventListener("change", again);
      drawn?.destroy();
    },
  };
}
