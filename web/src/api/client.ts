/**
 * Typed calls to the API: `api.get("/nodes/{node}/status", { node })`.
 *
 * The ticket travels as a cookie (see `session.ts`); every call that changes something also carries the CSRF token.
 */
import { BASE, encodeParams, fillPath } from "./encode";
import { ApiError, errorFrom } from "./error";
import type { Methods } from "./types";

type Verb = "GET" | "POST" | "PUT" | "DELETE";
type PathOf<V extends Verb> = keyof Methods extends infer K
  ? K extends `${V} ${infer P}`
    ? P
    : never
  : never;
type Lookup<V extends Verb, P extends string> = `${V} ${P}` extends keyof Methods
  ? Methods[`${V} ${P}`]
  : never;
type ParamsOf<V extends Verb, P extends string> = Lookup<V, P>["params"];
type OutputOf<V extends Verb, P extends string> = Lookup<V, P>["output"];

/** What the client needs to know of the session, and whom it tells that the session ended. */
export interface Credentials {
  csrf(): string | undefined;
  expired(): void;
}

let credentials: Credentials = { csrf: () => undefined, expired: () => undefined };

/** Called once by the session module. */
export function setCredentials(source: Credentials): void {
  credentials = source;
}

/** The header that proves a changing call comes from our own page. */
export function csrfHeader(): Record<string, string> {
  const token = credentials.csrf();
  return token ? { CSRFPreventionToken: token } : {};
}

async function request<V extends Verb, P extends PathOf<V>>(
  verb: V,
  template: P,
  params: ParamsOf<V, P>,
  signal?: AbortSignal,
): Promise<OutputOf<V, P>> {
  const { path, rest } = fillPath(template, params);
  const encoded = encodeParams(rest);
  // Some deletions are confirmed with a password, and addresses end up in logs.
  const inBody = verb !== "GET";
  const query = !inBody && encoded.size > 0 ? `?${encoded.toString()}` : "";
  const response = await send(`${BASE}${path}${query}`, {
    method: verb,
    headers: { Accept: "application/json", ...(verb === "GET" ? {} : csrfHeader()) },
    credentials: "same-origin",
    ...(inBody && (verb !== "DELETE" || encoded.size > 0) ? { body: encoded } : {}),
    ...(signal ? { signal } : {}),
  });
  const text = await response.text();
  if (!response.ok) {
    if (response.status === 401 && template !== "/access/ticket") credentials.expired();
    throw errorFrom(response.status, response.statusText, text);
  }
  return dataOf(text);
}

async function send(url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, "The server cannot be reached.");
  }
}

/** Reads a method that is known only at run time, by its template and plain values. */
export function getAny(
  template: string,
  params: Record<string, string>,
  signal: AbortSignal,
): Promise<unknown> {
  return request("GET", template as PathOf<"GET">, params as never, signal);
}

/** The `data` part of a successful answer. */
export function dataOf(text: string): unknown {
  if (text === "") return null;
  const body: unknown = JSON.parse(text);
  return body && typeof body === "object" && "data" in body ? body.data : null;
}

/**
 * The API by verb. Parameters named in the path are taken from `params`; the rest becomes the query of a `get`, and the
 * body of all others.
 */
export const api = {
  get: <P extends PathOf<"GET">>(path: P, params: ParamsOf<"GET", P>, signal?: AbortSignal) =>
    request("GET", path, params, signal),
  post: <P extends PathOf<"POST">>(path: P, params: ParamsOf<"POST", P>) => request("POST", path, params),
  put: <P extends PathOf<"PUT">>(path: P, params: ParamsOf<"PUT", P>) => request("PUT", path, params),
  delete: <P extends PathOf<"DELETE">>(path: P, params: ParamsOf<"DELETE", P>) =>
    request("DELETE", path, params),
};
