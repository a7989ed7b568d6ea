/** How often things are asked for again. */
import type { Query } from "@tanstack/react-query";

/** How often an unchanged thing is asked for again, at best. */
export const BRISK_MS = 2500;
export const CALM_MS = 4000;
export const SLOW_MS = 10_000;

const lastTook = new Map<string, number>();

/** Wraps a fetch to learn how long the server takes for it. */
export async function timed<T>(key: readonly unknown[], fetchIt: () => Promise<T>): Promise<T> {
  const began = performance.now();
  try {
    return await fetchIt();
  } finally {
    lastTook.set(JSON.stringify(key), performance.now() - began);
  }
}

/** A poll interval that leaves the server at least three times as long as it needed for the last answer. */
export function paced(atBest: number) {
  return (query: Pick<Query, "queryKey" | "state">): number => {
    const took = lastTook.get(JSON.stringify(query.queryKey)) ?? 0;
    const troubled = query.state.status === "error" ? 2 : 1;
    return Math.max(atBest, 3 * took) * troubled;
  };
}
