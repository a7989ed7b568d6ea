/** Rolling windows of samples, kept while the page is open so that graphs survive navigation. */

/** One sample: Unix time in seconds and named values. */
export interface Sample {
  time: number;
  values: Record<string, number | undefined>;
}

const WINDOW_SECONDS = 15 * 60;

/** Samples by source, with the oldest dropped as the window moves on. */
export class History {
  private readonly series = new Map<string, readonly Sample[]>();
  private readonly listeners = new Set<() => void>();

  constructor(private readonly windowSeconds = WINDOW_SECONDS) {}

  /** Adds a sample unless one younger than `gap` seconds is there already. */
  record(source: string, sample: Sample, gap = 0): void {
    const old = this.series.get(source) ?? [];
    const last = old.at(-1);
    if (last && sample.time - last.time <= gap) return;
    const kept = old.filter((s) => s.time > sample.time - this.windowSeconds);
    this.series.set(source, [...kept, sample]);
    for (const listener of this.listeners) listener();
  }

  read(source: string): readonly Sample[] {
    return this.series.get(source) ?? EMPTY;
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };
}

const EMPTY: readonly Sample[] = [];

/** A gauge as columns for a graph: times and one list of values. */
export function gauge(samples: readonly Sample[], name: string): (number | null)[] {
  return samples.map((s) => s.values[name] ?? null);
}

/** A counter as rates per second; null where the counter is missing or went backwards (a restart). */
export function counterRate(samples: readonly Sample[], name: string): (number | null)[] {
  return samples.map((s, i) => {
    const before = samples[i - 1];
    const now = s.values[name];
    const then = before?.values[name];
    if (!before || now === undefined || then === undefined || now < then || s.time <= before.time)
      return null;
    return (now - then) / (s.time - before.time);
  });
}
