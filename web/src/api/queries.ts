/**
 * What the pages read, as TanStack queries. Polls are gentle: never two at once for the same thing, none while the
 * page is hidden, and slower when the server answers slowly.
 */
import { QueryClient, queryOptions, useQuery } from "@tanstack/react-query";
import { asGuest, byVmid, type Guest, type GuestRef } from "../model/guest";
import { History } from "../model/history";
import type { NotifyKind } from "../model/notifications";
import type { ContentKind } from "../model/volume";
import { readRrd, type RrdSource, type Timeframe } from "../model/rrd";
import { accessQueries } from "./accessQueries";
import { api, getAny } from "./client";
import { diskQueries } from "./diskQueries";
import { ApiError } from "./error";
import { readNotify } from "./notifications";
import { BRISK_MS, CALM_MS, paced, SLOW_MS, timed } from "./pace";
import type { GuestStatus, NodeStatus, Resource, Volume } from "./types";

/** Samples of every node and guest seen so far; read through `components/useHistory`. */
export const history = new History();

/** The client all pages share. */
export function makeQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: 1000,
        retry: (failures, error) => error instanceof ApiError && error.unreachable && failures < 1,
        refetchOnWindowFocus: true,
      },
    },
  });
}

function now(): number {
  return Date.now() / 1000;
}

/** Key under which a node's samples are kept. */
export function nodeSource(node: string): string {
  return `node/${node}`;
}

/** Key under which a guest's samples are kept. */
export function guestSource(guest: GuestRef): string {
  return `${guest.type}/${guest.vmid}`;
}

function recordResources(rows: Resource[]): void {
  for (const row of rows) {
    if (row.type !== "node" && asGuest(row) === undefined) continue;
    const { cpu, mem, netin, netout, diskread, diskwrite } = row;
    const sample = { time: now(), values: { cpu, mem, netin, netout, diskread, diskwrite } };
    // A page that polls the thing itself has fresher numbers; fill in only where it does not.
    history.record(row.type === "node" ? nodeSource(row.node ?? "") : row.id, sample, 8);
  }
}

function recordNode(node: string, status: NodeStatus): void {
  history.record(nodeSource(node), {
    time: now(),
    values: {
      cpu: status.cpu,
      mem: status.memory.used,
      netin: status.netin,
      netout: status.netout,
    },
  });
}

function recordGuest(guest: GuestRef, status: GuestStatus): void {
  if (status.status !== "running") return;
  const { cpu, mem, netin, netout, diskread, diskwrite } = status;
  history.record(guestSource(guest), {
    time: now(),
    values: { cpu, mem, netin, netout, diskread, diskwrite },
  });
}

/** Every query this interface makes, by name. */
export const queries = {
  ...accessQueries,
  ...diskQueries,
  realms: () =>
    queryOptions({
      queryKey: ["realms"],
      queryFn: ({ signal }) => api.get("/access/domains", {}, signal),
      staleTime: Infinity,
    }),
  realm: (realm: string) =>
    queryOptions({
      queryKey: ["realms", realm],
      queryFn: ({ signal }) => api.get("/access/domains/{realm}", { realm }, signal),
      gcTime: 0,
      staleTime: 0,
      refetchOnWindowFocus: false,
      retry: false,
    }),
  notifyTargets: () =>
    queryOptions({
      queryKey: ["notifications", "targets"],
      queryFn: ({ signal }) => api.get("/cluster/notifications/targets", {}, signal),
    }),
  matchers: () =>
    queryOptions({
      queryKey: ["notifications", "matchers"],
      queryFn: ({ signal }) => api.get("/cluster/notifications/matchers", {}, signal),
    }),
  notification: (kind: NotifyKind, name: string) =>
    queryOptions({
      queryKey: ["notifications", kind, name],
      queryFn: ({ signal }) => readNotify(kind, name, signal),
      gcTime: 0,
      staleTime: 0,
      refetchOnWindowFocus: false,
      retry: false,
    }),
  cpuModels: (node: string) =>
    queryOptions({
      queryKey: ["node", node, "cpus"],
      queryFn: ({ signal }) => api.get("/nodes/{node}/capabilities/qemu/cpu", { node }, signal),
      staleTime: Infinity,
      retry: false,
    }),
  factors: (userid: string) =>
    queryOptions({
      queryKey: ["factors", userid],
      queryFn: ({ signal }) => api.get("/access/tfa/{userid}", { userid }, signal),
      retry: false,
    }),
  allFactors: () =>
    queryOptions({
      queryKey: ["factors"],
      queryFn: ({ signal }) => api.get("/access/tfa", {}, signal),
      retry: false,
    }),
  auditLog: (max: number) =>
    queryOptions({
      queryKey: ["log", max],
      queryFn: ({ queryKey, signal }) => timed(queryKey, () => api.get("/cluster/log", { max }, signal)),
      refetchInterval: paced(SLOW_MS),
      placeholderData: (before) => before,
    }),
  version: () =>
    queryOptions({
      queryKey: ["version"],
      queryFn: ({ signal }) => api.get("/version", {}, signal),
      staleTime: 60_000,
    }),
  resources: () =>
    queryOptions({
      queryKey: ["resources"],
      queryFn: ({ queryKey, signal }) =>
        timed(queryKey, async () => {
          const rows = await api.get("/cluster/resources", {}, signal);
          recordResources(rows);
          return rows;
        }),
      refetchInterval: paced(CALM_MS),
    }),
  tasks: () =>
    queryOptions({
      queryKey: ["tasks"],
      queryFn: ({ queryKey, signal }) => timed(queryKey, () => api.get("/cluster/tasks", {}, signal)),
      refetchInterval: paced(BRISK_MS),
    }),
  nodeStatus: (node: string) =>
    queryOptions({
      queryKey: ["node", node, "status"],
      queryFn: ({ queryKey, signal }) =>
        timed(queryKey, async () => {
          const status = await api.get("/nodes/{node}/status", { node }, signal);
          recordNode(node, status);
          return status;
        }),
      refetchInterval: paced(BRISK_MS),
    }),
  nodeTasks: (node: string) =>
    queryOptions({
      queryKey: ["node", node, "tasks"],
      queryFn: ({ queryKey, signal }) =>
        timed(queryKey, () => api.get("/nodes/{node}/tasks", { node, limit: 100, source: "all" }, signal)),
      refetchInterval: paced(SLOW_MS),
    }),
  certificates: (node: string) =>
    queryOptions({
      queryKey: ["node", node, "certificates"],
      queryFn: ({ signal }) => api.get("/nodes/{node}/certificates/info", { node }, signal),
      retry: false,
    }),
  time: (node: string) =>
    queryOptions({
      queryKey: ["node", node, "time"],
      queryFn: ({ signal }) => api.get("/nodes/{node}/time", { node }, signal),
      refetchInterval: paced(SLOW_MS),
      retry: false,
    }),
  dns: (node: string) =>
    queryOptions({
      queryKey: ["node", node, "dns"],
      queryFn: ({ signal }) => api.get("/nodes/{node}/dns", { node }, signal),
      retry: false,
    }),
  hosts: (node: string) =>
    queryOptions({
      queryKey: ["node", node, "hosts"],
      queryFn: ({ signal }) => api.get("/nodes/{node}/hosts", { node }, signal),
      // Somebody may be typing in it.
      refetchOnWindowFocus: false,
      retry: false,
    }),
  updateStatus: (node: string) =>
    queryOptions({
      queryKey: ["node", node, "update", "status"],
      queryFn: ({ queryKey, signal }) =>
        timed(queryKey, () => api.get("/nodes/{node}/update/status", { node }, signal)),
      refetchInterval: paced(SLOW_MS),
      retry: false,
    }),
  updateConfig: (node: string) =>
    queryOptions({
      queryKey: ["node", node, "update", "config"],
      queryFn: ({ signal }) => api.get("/nodes/{node}/update/config", { node }, signal),
      staleTime: 30_000,
    }),
  updateAvailable: (node: string) =>
    queryOptions({
      queryKey: ["node", node, "update", "available"],
      queryFn: ({ signal }) => api.get("/nodes/{node}/update/available", { node }, signal),
      staleTime: 300_000,
      retry: false,
    }),
  bridges: (node: string) =>
    queryOptions({
      queryKey: ["node", node, "bridges"],
      queryFn: ({ signal }) => api.get("/nodes/{node}/network", { node, type: "any_bridge" }, signal),
      staleTime: 30_000,
      retry: false,
    }),
  storages: (node: string) =>
    queryOptions({
      queryKey: ["node", node, "storages"],
      queryFn: ({ queryKey, signal }) =>
        timed(queryKey, () => api.get("/nodes/{node}/storage", { node }, signal)),
      refetchInterval: paced(SLOW_MS),
    }),
  content: (node: string, storage: string) =>
    queryOptions({
      queryKey: ["node", node, "storage", storage, "content"],
      queryFn: ({ queryKey, signal }) =>
        timed(queryKey, () => api.get("/nodes/{node}/storage/{storage}/content", { node, storage }, signal)),
      refetchInterval: paced(SLOW_MS),
    }),
  rrd: (of: RrdSource, timeframe: Timeframe) =>
    queryOptions({
      queryKey: ["rrd", of.template, of.params, timeframe],
      queryFn: async ({ queryKey, signal }) =>
        timed(queryKey, async () =>
          readRrd(await getAny(of.template, { ...of.params, timeframe, cf: "AVERAGE" }, signal)),
        ),
      // One sample a minute is the finest there is.
      refetchInterval: paced(60_000),
      staleTime: 30_000,
      retry: false,
    }),
  nextId: () =>
    queryOptions({
      queryKey: ["nextid"],
      queryFn: ({ signal }) => api.get("/cluster/nextid", {}, signal),
      gcTime: 0,
      staleTime: 0,
      refetchOnWindowFocus: false,
    }),
  guestStatus: (guest: GuestRef) =>
    queryOptions({
      queryKey: ["guest", guest.type, guest.vmid, "status"],
      queryFn: ({ queryKey, signal }) =>
        timed(queryKey, async () => {
          const status = await api.get(
            `/nodes/{node}/${guest.type}/{vmid}/status/current`,
            { node: guest.node, vmid: guest.vmid },
            signal,
          );
          recordGuest(guest, status);
          return status;
        }),
      refetchInterval: paced(BRISK_MS),
    }),
  guestConfig: (guest: GuestRef) =>
    queryOptions({
      queryKey: ["guest", guest.type, guest.vmid, "config"],
      queryFn: ({ signal }) =>
        api.get(`/nodes/{node}/${guest.type}/{vmid}/config`, { node: guest.node, vmid: guest.vmid }, signal),
      staleTime: 5000,
    }),
  cloudPending: (guest: GuestRef) =>
    queryOptions({
      queryKey: ["guest", guest.type, guest.vmid, "cloudinit"],
      queryFn: ({ signal }) =>
        api.get("/nodes/{node}/qemu/{vmid}/cloudinit", { node: guest.node, vmid: guest.vmid }, signal),
      retry: false,
    }),
  cloudDocument: (guest: GuestRef, type: "user" | "network" | "meta") =>
    queryOptions({
      queryKey: ["guest", guest.type, guest.vmid, "cloudinit", type],
      queryFn: ({ signal }) =>
        api.get(
          "/nodes/{node}/qemu/{vmid}/cloudinit/dump",
          { node: guest.node, vmid: guest.vmid, type },
          signal,
        ),
      retry: false,
    }),
  agentInterfaces: (guest: GuestRef) =>
    queryOptions({
      queryKey: ["guest", guest.type, guest.vmid, "agent"],
      queryFn: ({ queryKey, signal }) =>
        timed(queryKey, () =>
          api.get(
            "/nodes/{node}/qemu/{vmid}/agent/network-get-interfaces",
            { node: guest.node, vmid: guest.vmid },
            signal,
          ),
        ),
      refetchInterval: paced(SLOW_MS),
      retry: false,
    }),
  guestTasks: (guest: GuestRef) =>
    queryOptions({
      queryKey: ["guest", guest.type, guest.vmid, "tasks"],
      queryFn: ({ queryKey, signal }) =>
        timed(queryKey, () =>
          api.get(
            "/nodes/{node}/tasks",
            { node: guest.node, vmid: guest.vmid, limit: 100, source: "all" },
            signal,
          ),
        ),
      refetchInterval: paced(SLOW_MS),
    }),
};

/** The inventory, split by what things are. */
export interface Inventory {
  nodes: Resource[];
  guests: Guest[];
  storages: Resource[];
  pools: Resource[];
}

/** Splits the rows of `/cluster/resources`. */
export function splitInventory(rows: readonly Resource[]): Inventory {
  const name = (r: Resource) => r.storage ?? r.node ?? r.pool ?? "";
  const byName = (a: Resource, b: Resource) => name(a).localeCompare(name(b));
  return {
    nodes: rows.filter((r) => r.type === "node").sort(byName),
    guests: rows
      .map(asGuest)
      .filter((g): g is Guest => g !== undefined)
      .sort(byVmid),
    storages: rows.filter((r) => r.type === "storage").sort(byName),
    pools: rows.filter((r) => r.type === "pool").sort(byName),
  };
}

/** The inventory, live. */
export function useInventory() {
  const query = useQuery({ ...queries.resources(), select: splitInventory });
  return { ...query, inventory: query.data };
}

/** A volume with the storage it lies on. */
export type PlacedVolume = Volume & { storage: string };

/** All volumes of one content kind on a node, across its storages. */
export async function volumesOfKind(
  node: string,
  kind: ContentKind,
  signal?: AbortSignal,
): Promise<PlacedVolume[]> {
  const storages = await api.get("/nodes/{node}/storage", { node }, signal);
  const holding = storages.filter((s) => s.content.split(",").includes(kind));
  const lists = await Promise.all(
    holding.map(async ({ storage }) => {
      const volumes = await api.get(
        "/nodes/{node}/storage/{storage}/content",
        { node, storage, content: kind },
        signal,
      );
      return volumes.map((volume) => ({ ...volume, storage }));
    }),
  );
  return lists.flat().sort((a, b) => a.volid.localeCompare(b.volid));
}

/** `volumesOfKind`, as a query; asked for again while the wizard is open. */
export function useVolumes(node: string, kind: ContentKind) {
  return useQuery({
    queryKey: ["node", node, "volumes", kind],
    queryFn: ({ signal }) => volumesOfKind(node, kind, signal),
    enabled: node !== "",
    refetchInterval: SLOW_MS,
  });
}
