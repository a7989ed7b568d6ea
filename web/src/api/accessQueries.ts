/**
 * What the pages read of users, what they may do, and pools. All keys begin alike, because most changes touch several
 * of these: who deletes a user deletes tokens and permissions.
 */
import { queryOptions } from "@tanstack/react-query";
import { api } from "./client";

/** How all these keys begin. */
export const ACCESS = "access";

export const accessQueries = {
  users: () =>
    queryOptions({
      queryKey: [ACCESS, "users"],
      queryFn: ({ signal }) => api.get("/access/users", { full: 1 }, signal),
      staleTime: 30_000,
      retry: false,
    }),
  groups: () =>
    queryOptions({
      queryKey: [ACCESS, "groups"],
      queryFn: ({ signal }) => api.get("/access/groups", {}, signal),
      retry: false,
    }),
  roles: () =>
    queryOptions({
      queryKey: [ACCESS, "roles"],
      queryFn: ({ signal }) => api.get("/access/roles", {}, signal),
      retry: false,
    }),
  acl: () =>
    queryOptions({
      queryKey: [ACCESS, "acl"],
      queryFn: ({ signal }) => api.get("/access/acl", {}, signal),
      retry: false,
    }),
  /** What the caller may do. */
  ownPermissions: () =>
    queryOptions({
      queryKey: [ACCESS, "permissions"],
      queryFn: ({ signal }) => api.get("/access/permissions", {}, signal),
      staleTime: 30_000,
      retry: false,
    }),
  /** What a user or token may do; on one path, or wherever anything is given. */
  permissions: (userid: string, path: string) =>
    queryOptions({
      queryKey: [ACCESS, "permissions", userid, path],
      queryFn: ({ signal }) =>
        api.get("/access/permissions", path === "" ? { userid } : { userid, path }, signal),
      retry: false,
    }),
  pools: () =>
    queryOptions({
      queryKey: [ACCESS, "pools"],
      queryFn: ({ signal }) => api.get("/pools", {}, signal),
      retry: false,
    }),
  /** A pool with what is in it. */
  pool: (poolid: string) =>
    queryOptions({
      queryKey: [ACCESS, "pools", poolid],
      // A pool in a pool has a slash in its name, which fits into no part of an address.
      queryFn: async ({ signal }) => {
        const [pool] = await api.get("/pools", { poolid }, signal);
        return pool ?? { poolid };
      },
      retry: false,
    }),
};
