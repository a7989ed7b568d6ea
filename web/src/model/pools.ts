/** Pools: guests and storages that permissions are given on together. */
import type { Check } from "./validate";

/** So many levels a pool's name has at most. */
const LEVELS = 3;

/** Where permissions on a pool are given. */
export function poolPath(poolid: string): string {
  return `/pool/${poolid}`;
}

/** The page of a pool. */
export function poolPage(poolid: string): string {
  return `/pools/${poolid.split("/").map(encodeURIComponent).join("/")}`;
}

/** The pool that a pool lies in. */
export function parentPool(poolid: string): string | undefined {
  const at = poolid.lastIndexOf("/");
  return at < 0 ? undefined : poolid.slice(0, at);
}

/** Whether a pool can have others in it. */
export function mayNest(poolid: string): boolean {
  return poolid.split("/").length < LEVELS;
}

/** A pool's own name, without those that it lies in. */
export function checkPoolName(value: string): Check {
  if (value === "") return "Enter a name.";
  return /^[A-Za-z0-9_-][A-Za-z0-9._-]*$/.test(value)
    ? undefined
    : "Use letters, digits, '.', '-' and '_', and do not begin with a dot.";
}
