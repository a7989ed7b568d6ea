/** Who may do what: permissions on paths, and the privileges that roles bundle. */
import type { AclEntry, Flag } from "../api/schema";
import type { Check } from "./validate";

/** Privileges by path, as the API shows them: 1 where a privilege holds for what lies below, too. */
export type Permissions = Readonly<Record<string, Readonly<Record<string, Flag>>>>;

/** Paths that the API always tells of when there is a permission on them: what they lack is not inherited. */
const ALWAYS_TOLD: ReadonlySet<string> = new Set([
  ...["/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms"],
]);

function above(path: string): string {
  return path.slice(0, Math.max(path.lastIndexOf("/"), 1));
}

/** Whether a privilege holds on a path: given there, or on the nearest path above that is told of. */
export function holds(permissions: Permissions, path: string, privilege: string): boolean {
  for (let here = path; ; here = above(here)) {
    const found = permissions[here];
    if (found) return here === path ? found[privilege] !== undefined : found[privilege] === 1;
    if (ALWAYS_TOLD.has(here)) return false;
  }
}

/** The privilege that makes somebody master of what lies at a path. */
function masterOf(path: string): string | undefined {
  const [, area, name] = path.split("/");
  if (!name) return undefined;
  return { vms: "VM.Allocate", storage: "Datastore.Allocate", pool: "Pool.Allocate" }[area ?? ""];
}

/** Whether permissions on a path may be given and taken. */
export function mayGive(permissions: Permissions, path: string): boolean {
  const master = masterOf(path);
  return (
    holds(permissions, path, "Permissions.Modify") ||
    (master !== undefined && holds(permissions, path, master))
  );
}

const GIVING = ["Permissions.Modify", "VM.Allocate", "Datastore.Allocate", "Pool.Allocate"];

/** Whether permissions may be given and taken anywhere. */
export function mayGiveSomewhere(permissions: Permissions): boolean {
  return Object.values(permissions).some((has) => GIVING.some((name) => has[name] !== undefined));
}

/** Users, groups and tokens are told apart by a word. */
export const SUBJECTS: Record<AclEntry["type"], string> = {
  user: "User",
  group: "Group",
  token: "API token",
};

/** The words of a list as the API writes it. */
export function words(list: string | undefined): string[] {
  return (list ?? "").split(/[,;\s]+/).filter((word) => word !== "");
}

const AREAS: Record<string, string> = {
  Datastore: "Storages",
  Group: "Groups",
  Mapping: "Mapped devices",
  Permissions: "Permissions",
  Pool: "Pools",
  Realm: "Realms",
  SDN: "Networks",
  Sys: "Nodes and datacenter",
  User: "Users",
  VM: "Guests",
};

/** Privileges by what they are about, in the order of names. */
export function byArea(privileges: Iterable<string>): { area: string; privileges: string[] }[] {
  const found = new Map<string, string[]>();
  for (const privilege of [...privileges].sort()) {
    const area = privilege.split(".", 1)[0] ?? "";
    found.set(area, [...(found.get(area) ?? []), privilege]);
  }
  return [...found].map(([area, list]) => ({ area: AREAS[area] ?? area, privileges: list }));
}

/** A name of a group, a role or a token. */
export function checkIdentifier(value: string, longest = 128): Check {
  if (value === "") return "Enter a name.";
  if (value.length > longest) return `The name is longer than ${longest} characters.`;
  return /^[A-Za-z][A-Za-z0-9._-]*$/.test(value)
    ? undefined
    : "Begin with a letter, and use letters, digits, '.', '-' and '_'.";
}

/** A name of a role that can be added. */
export function checkRole(value: string): Check {
  const wrong = checkIdentifier(value, 64);
  if (wrong !== undefined || !value.startsWith("PVE")) return wrong;
  return "Names that begin with PVE are those of built-in roles.";
}

/** A path that permissions are given on. */
export function checkPath(value: string): Check {
  if (value === "") return "Enter a path.";
  return /^(\/|(\/[\w@-][\w.@-]*)+)$/.test(value)
    ? undefined
    : "Enter / for everything, or a path such as /vms/100 or /storage/local.";
}
