/** How parameters travel: path templates, query strings and form bodies. Pure functions, no network. */

export type Params = Record<string, unknown>;

/** Where the API lives on this server. */
export const BASE = "/api2/json";

/** Form encoding: booleans as 1 and 0, lists as repeated keys, undefined left out. */
export function encodeParams(params: Params): URLSearchParams {
  const out = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) {
    for (const item of Array.isArray(value) ? value : [value]) {
      if (item === undefined || item === null) continue;
      out.append(key, encodeValue(item));
    }
  }
  return out;
}

function encodeValue(value: unknown): string {
  if (typeof value === "boolean") return value ? "1" : "0";
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  return JSON.stringify(value);
}

/** Fills `{name}` places of a path from `params`; returns the path and the parameters that remain. */
export function fillPath(template: string, params: Params): { path: string; rest: Params } {
  const rest = { ...params };
  const path = template.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = rest[name];
    if (value === undefined || value === null || value === "")
      throw new Error(`${template}: ${name} is missing`);
    delete rest[name];
    return encodeURIComponent(encodeValue(value));
  });
  return { path, rest };
}
