/** Guests: what they are called, how they stand, and what may be done with them. */
import type { GuestType, Resource } from "../api/types";

export interface GuestRef {
  node: string;
  type: GuestType;
  vmid: number;
}

export interface Guest extends GuestRef {
  name: string;
  status: string;
  lock?: string | undefined;
  template?: boolean;
  resource: Resource;
}

/** Narrow a row of the inventory to a guest. */
export function asGuest(resource: Resource): Guest | undefined {
  if (resource.type !== "qemu" && resource.type !== "lxc") return undefined;
  if (resource.node === undefined || resource.vmid === undefined) return undefined;
  return {
    node: resource.node,
    type: resource.type,
    vmid: resource.vmid,
    name: resource.name ?? String(resource.vmid),
    status: resource.status ?? "unknown",
    lock: resource.lock,
    template: Boolean(resource.template),
    resource,
  };
}

/** `Virtual machine` or `Container`. */
export function kindName(type: GuestType): string {
  return type === "qemu" ? "Virtual machine" : "Container";
}

/** The short kind used in front of a number: `VM 100`, `CT 101`. */
export function shortName(guest: GuestRef): string {
  return `${guest.type === "qemu" ? "VM" : "CT"} ${guest.vmid}`;
}

/** The guest's page. */
export function guestPath(guest: GuestRef, tab?: string): string {
  return `/nodes/${guest.node}/${guest.type}/${guest.vmid}${tab ? `/${tab}` : ""}`;
}

export type GuestAction = "start" | "shutdown" | "reboot" | "stop" | "delete" | "console";

export const ACTION_NAMES: Record<GuestAction, string> = {
  start: "Start",
  shutdown: "Shut down",
  reboot: "Reboot",
  stop: "Stop",
  delete: "Delete",
  console: "Open console",
};

const PRIVILEGES: Record<GuestAction, string> = {
  start: "VM.PowerMgmt",
  shutdown: "VM.PowerMgmt",
  reboot: "VM.PowerMgmt",
  stop: "VM.PowerMgmt",
  delete: "VM.Allocate",
  console: "VM.Console",
};

/** Why an action is not on offer right now, as the end of "disabled, because …"; undefined when it is. */
export function whyNot(
  guest: Pick<Guest, "status" | "lock" | "type">,
  action: GuestAction,
  may: (area: string, privilege: string) => boolean,
): string | undefined {
  const what = guest.type === "qemu" ? "the virtual machine" : "the container";
  if (!may("vms", PRIVILEGES[action])) return `your account lacks the privilege ${PRIVILEGES[action]}`;
  if (guest.lock && action !== "console") return `${what} is locked (${guest.lock})`;
  const running = guest.status === "running";
  switch (action) {
    case "start":
      return running ? `${what} is already running` : undefined;
    case "delete":
      return running ? `${what} is running; stop it first` : undefined;
    case "shutdown":
    case "reboot":
    case "stop":
    case "console":
      return running ? undefined : `${what} is not running`;
  }
}

/** Guests by number, the order of every list. */
export function byVmid(a: { vmid: number }, b: { vmid: number }): number {
  return a.vmid - b.vmid;
}
