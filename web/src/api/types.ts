/**
 * The wire's types under the names this interface uses. All come from `schema.ts`, which is generated from the
 * declarations of the API.
 */
import type { Methods, TaskEntry } from "./schema";

export type {
  ConsoleTicket,
  Flag,
  GuestCurrent as GuestStatus,
  LogLine,
  Methods,
  NetworkInterface,
  NodeStatus,
  Realm,
  Resource,
  StorageStatus,
  TaskStatus,
  Ticket,
  Version,
  VolumeEntry as Volume,
} from "./schema";

/** Names a task. */
export type Upid = string;
export type GuestType = "qemu" | "lxc";

/** A task in a list; one without an end still runs. */
export type Task = Pick<
  TaskEntry,
  "upid" | "node" | "type" | "id" | "user" | "starttime" | "endtime" | "status"
>;

/** A guest's configuration: known keys and devices such as `net0` or `virtio0`. */
export type GuestConfig = Readonly<Record<string, string | number | undefined>>;

/** Privileges by area (`vms`, `storage`, `nodes`, …), as the login answer lists them. */
export type Capabilities = Methods["POST /access/ticket"]["output"]["cap"];
