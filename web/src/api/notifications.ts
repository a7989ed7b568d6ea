/** The calls about targets and matchers, which are alike for every kind. */
import type { NotifyKind } from "../model/notifications";
import { api } from "./client";

const ENDPOINTS = "/cluster/notifications/endpoints";
const PLACES = {
  smtp: `${ENDPOINTS}/smtp`,
  sendmail: `${ENDPOINTS}/sendmail`,
  gotify: `${ENDPOINTS}/gotify`,
  webhook: `${ENDPOINTS}/webhook`,
  matcher: "/cluster/notifications/matchers",
} as const;

type Params = Readonly<Record<string, string | string[]>>;
/** One of the kinds stands for all in the types: forms know which parameters there are. */
type Any = (typeof PLACES)["matcher"];

const place = (kind: NotifyKind) => PLACES[kind] as Any;
const one = (kind: NotifyKind) => `${place(kind)}/{name}` as `${Any}/{name}`;

export function readNotify(kind: NotifyKind, name: string, signal: AbortSignal): Promise<object> {
  return api.get(one(kind), { name }, signal);
}

export function createNotify(kind: NotifyKind, name: string, params: Params): Promise<unknown> {
  return api.post(place(kind), { name, ...params });
}

export function changeNotify(kind: NotifyKind, name: string, params: Params): Promise<unknown> {
  return api.put(one(kind), { name, ...params });
}

export function removeNotify(kind: NotifyKind, name: string): Promise<unknown> {
  return api.delete(one(kind), { name });
}

/** Sends a test; fails if it does not get there. */
export function testTarget(name: string): Promise<unknown> {
  return api.post("/cluster/notifications/targets/{name}/test", { name });
}
