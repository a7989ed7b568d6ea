/** A stand-in for `fetch` that answers from a table and remembers what was asked. */
import { vi } from "vitest";

export interface Answer {
  status?: number;
  reason?: string;
  data?: unknown;
  message?: string;
  errors?: Record<string, string>;
}

export interface Asked {
  key: string;
  query: URLSearchParams;
  body: URLSearchParams;
  headers: Record<string, string>;
}

/** Answers by "VERB /path"; anything else is a 501. */
export function stubFetch(table: Record<string, Answer | ((asked: Asked) => Answer)>): Asked[] {
  const log: Asked[] = [];
  vi.stubGlobal("fetch", (input: string, init: RequestInit = {}) => {
    const url = new URL(input, window.location.origin);
    const asked: Asked = {
      key: `${init.method ?? "GET"} ${decodeURIComponent(url.pathname).replace("/api2/json", "")}`,
      query: url.searchParams,
      body: new URLSearchParams(init.body instanceof URLSearchParams ? init.body.toString() : ""),
      headers: init.headers as Record<string, string>,
    };
    log.push(asked);
    const found = table[asked.key] ?? { status: 501, message: `Method '${asked.key}' not implemented` };
    const {
      status = 200,
      reason = "",
      data = null,
      message,
      errors,
    } = typeof found === "function" ? found(asked) : found;
    const body = JSON.stringify({ data, ...(message ? { message } : {}), ...(errors ? { errors } : {}) });
    return Promise.resolve(new Response(body, { status, statusText: reason }));
  });
  return log;
}
