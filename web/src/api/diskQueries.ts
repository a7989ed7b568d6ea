/** What the pages read of a node's disks, and of the groups and pools that they are part of. */
import { queryOptions } from "@tanstack/react-query";
import { api } from "./client";
import { paced, SLOW_MS, timed } from "./pace";

/** The list asks every disk how it is, which takes disks time. */
const DISKS_MS = 60_000;

export const diskQueries = {
  disks: (node: string) =>
    queryOptions({
      queryKey: ["node", node, "disks", "list"],
      queryFn: ({ queryKey, signal }) =>
        timed(queryKey, () => api.get("/nodes/{node}/disks/list", { node }, signal)),
      refetchInterval: paced(DISKS_MS),
      // Coming back to the page does not ask the disks again, either.
      staleTime: DISKS_MS,
      retry: false,
    }),
  smart: (node: string, disk: string) =>
    queryOptions({
      queryKey: ["node", node, "disks", "smart", disk],
      queryFn: ({ signal }) => api.get("/nodes/{node}/disks/smart", { node, disk }, signal),
      refetchOnWindowFocus: false,
      retry: false,
    }),
  volumeGroups: (node: string) =>
    queryOptions({
      queryKey: ["node", node, "disks", "lvm"],
      queryFn: ({ queryKey, signal }) =>
        timed(queryKey, () => api.get("/nodes/{node}/disks/lvm", { node }, signal)),
      refetchInterval: paced(SLOW_MS),
      retry: false,
    }),
  thinPools: (node: string) =>
    queryOptions({
      queryKey: ["node", node, "disks", "lvmthin"],
      queryFn: ({ queryKey, signal }) =>
        timed(queryKey, () => api.get("/nodes/{node}/disks/lvmthin", { node }, signal)),
      refetchInterval: paced(SLOW_MS),
      retry: false,
    }),
  zfsPools: (node: string) =>
    queryOptions({
      queryKey: ["node", node, "disks", "zfs"],
      queryFn: ({ queryKey, signal }) =>
        timed(queryKey, () => api.get("/nodes/{node}/disks/zfs", { node }, signal)),
      refetchInterval: paced(SLOW_MS),
      retry: false,
    }),
  zfsPool: (node: string, name: string) =>
    queryOptions({
      queryKey: ["node", node, "disks", "zfs", name],
      queryFn: ({ queryKey, signal }) =>
        timed(queryKey, () => api.get("/nodes/{node}/disks/zfs/{name}", { node, name }, signal)),
      refetchInterval: paced(SLOW_MS),
      retry: false,
    }),
};
