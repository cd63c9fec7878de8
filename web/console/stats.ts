// What GET /v1/stats says, and what follows from two of its answers.

export interface Histogram {
  readonly counts: readonly number[];
  readonly sum: number;
}

export interface Stats {
  readonly node: string;
  readonly time: string;
  readonly started: string;
  readonly head: number;
  readonly users: number;
  readonly connections: Readonly<Record<string, { readonly users: number; readonly connections: number }>>;
  readonly deliveries: Readonly<Record<string, number>>;
  readonly events: Readonly<Record<string, number>>;
  readonly changes: Readonly<Record<string, number>>;
  readonly latency: {
    readonly bounds: readonly number[];
    readonly stored: Readonly<Record<string, Histogram>>;
    readonly delivered: Readonly<Record<string, Readonly<Record<string, Histogram>>>>;
  };
}

/** Counts a second between two answers, by name; null where the node has started in between. */
export function rates(older: Stats, newer: Stats, of: (stats: Stats) => Readonly<Record<string, number>>, names: readonly string[]): (number | null)[] {
  const seconds = (Date.parse(newer.time) - Date.parse(older.time)) / 1000;
  return names.map((name) => {
    const grown = (of(newer)[name] ?? 0) - (of(older)[name] ?? 0);
    return seconds > 0 && older.started === newer.started ? grown / seconds : null;
  });
}

/** What was observed between two readings of histograms, added up. */
export function observed(older: readonly (Histogram | undefined)[], newer: readonly (Histogram | undefined)[]): number[] {
  const counts: number[] = [];
  newer.forEach((histogram, i) => {
    histogram?.counts.forEach((count, bucket) => {
      counts[bucket] = (counts[bucket] ?? 0) + count - (older[i]?.counts[bucket] ?? 0);
    });
  });
  return counts;
}

/** The time within which a share of what was observed was over, in seconds: between the bounds in proportion, and at most the last. Null where nothing was. */
export function quantile(bounds: readonly number[], counts: readonly number[], share: number): number | null {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total <= 0) return null;
  let left = share * total;
  for (const [bucket, bound] of bounds.entries()) {
    const count = counts[bucket] ?? 0;
    const from = bucket === 0 ? 0 : (bounds[bucket - 1] ?? 0);
    if (count > 0 && left <= count) return from + (bound - from) * (left / count);
    left -= count;
  }
  return bounds.at(-1) ?? null;
}

/** Of both readings, the histograms that transports and a severity choose; "" is every severity. */
export function delivered(older: Stats, newer: Stats, transports: readonly string[], severity: string): number[] {
  const pairs = Object.entries(newer.latency.delivered)
    .filter(([name]) => transports.includes(name))
    .flatMap(([name, by]) => Object.entries(by)
      .filter(([word]) => severity === "" || word === severity)
      .map(([word, histogram]) => [older.latency.delivered[name]?.[word], histogram] as const));
  return observed(pairs.map(([was]) => was), pairs.map(([, is]) => is));
}

/** The same of the way into the log. */
export function stored(older: Stats, newer: Stats, severity: string): number[] {
  return observed([older.latency.stored[severity]], [newer.latency.stored[severity]]);
}
