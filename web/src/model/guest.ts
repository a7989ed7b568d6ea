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
  /** Whether a running virtual machine stands still; undefined where that is not known. */
  paused?: boolean | undefined;
  template?: boolean;
  resource: Resource;
}

/** States in which the processors of a running virtual machine stand still until it is resumed. */
const STANDSTILLS = ["paused", "io-error", "watchdog"];

/** Whether a virtual machine in this finer state stands still. */
export function standsStill(qmpstatus: string | undefined): boolean {
  return qmpstatus !== undefined && STANDSTILLS.includes(qmpstatus);
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

export type GuestAction =
  "start" | "shutdown" | "reboot" | "stop" | "pause" | "suspend" | "resume" | "delete" | "console";

/** Actions that only virtual machines know. */
const VM_ONLY: GuestAction[] = ["pause", "suspend", "resume"];

/** Whether guests of this type know the action at all. */
export function knowsAction(type: GuestType, action: GuestAction): boolean {
  return type === "qemu" || !VM_ONLY.includes(action);
}

export const ACTION_NAMES: Record<GuestAction, string> = {
  start: "Start",
  shutdown: "Shut down",
  reboot: "Reboot",
  stop: "Stop",
  pause: "Pause",
  suspend: "Suspend to disk",
  resume: "Resume",
  delete: "Delete",
  console: "Open console",
};

const PRIVILEGES: Record<GuestAction, string> = {
  start: "VM.PowerMgmt",
  shutdown: "VM.PowerMgmt",
  reboot: "VM.PowerMgmt",
  stop: "VM.PowerMgmt",
  pause: "VM.PowerMgmt",
  suspend: "VM.PowerMgmt",
  resume: "VM.PowerMgmt",
  delete: "VM.Allocate",
  console: "VM.Console",
};

/** Why an action is not on offer right now, as the end of "disabled, because …"; undefined when it is. */
export function whyNot(
  guest: Pick<Guest, "status" | "lock" | "type" | "paused">,
  action: GuestAction,
  may: (area: string, privilege: string) => boolean,
): string | undefined {
  const what = guest.type === "qemu" ? "the virtual machine" : "the container";
  if (!may("vms", PRIVILEGES[action])) return `your account lacks the privilege ${PRIVILEGES[action]}`;
  if (guest.lock === "suspended" && ["start", "resume", "stop", "delete"].includes(action)) return undefined;
  if (guest.lock && action !== "console") return `${what} is locked (${guest.lock})`;
  const running = guest.status === "running";
  const notRunning = running ? undefined : `${what} is not running`;
  switch (action) {
    case "start":
      return running ? `${what} is already running` : undefined;
    case "delete":
      return running ? `${what} is running; stop it first` : undefined;
    case "pause":
      return running && guest.paused ? `${what} is already paused` : notRunning;
    case "resume":
      return running && guest.paused === false ? `${what} is not paused` : notRunning;
    case "shutdown":
    case "reboot":
    case "stop":
    case "suspend":
    case "console":
      return notRunning;
  }
}

/** Guests by number, the order of every list. */
export function byVmid(a: { vmid: number }, b: { vmid: number }): number {
  return a.vmid - b.vmid;
}
