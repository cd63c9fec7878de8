// How far the server's clock is from this browser's, and how long an answer takes.

export interface Clock {
  /** The server's time less ours, in milliseconds: somewhere between. Null where no answer said a time. */
  readonly skew: { readonly least: number; readonly most: number } | null;
  /** The shortest and the middle time of an answer, in milliseconds. */
  readonly fastest: number;
  readonly middle: number;
}

/** What one answer says: its Date, a whole second, lay between asking and answer. */
export interface Reading {
  readonly asked: number;
  readonly answered: number;
  readonly date: number;
}

/** The offsets that all readings allow; those that contradict the others, as a Date from a cache does, widen it. */
export function skewOf(readings: readonly Reading[]): { readonly least: number; readonly most: number } | null {
  if (readings.length === 0) return null;
  const least = Math.max(...readings.map((one) => one.date - one.answered));
  const most = Math.min(...readings.map((one) => one.date + 1000 - one.asked));
  return least <= most ? { least, most } : { least: most, most: least };
}

/** Asks the server a few times. Throws where it does not answer. */
export async function readClock(url: URL, signal: AbortSignal, times = 8): Promise<Clock> {
  const readings: Reading[] = [];
  const took: number[] = [];
  for (let i = 0; i < times; i++) {
    const asked = Date.now();
    const began = performance.now();
    const answer = await fetch(url, { cache: "no-store", signal });
    took.push(performance.now() - began);
    const answered = Date.now();
    await answer.arrayBuffer();
    const date = Date.parse(answer.headers.get("Date") ?? "");
    if (!Number.isNaN(date)) readings.push({ asked, answered, date });
    // The second begins at another place of it each time, which narrows it down.
    await new Promise((soon) => setTimeout(soon, 130));
  }
  took.sort((a, b) => a - b);
  return { skew: skewOf(readings), fastest: took[0] ?? 0, middle: took[Math.floor(took.length / 2)] ?? 0 };
}
