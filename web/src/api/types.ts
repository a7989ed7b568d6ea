/**
 * What travels over the wire, for the calls this interface makes.
 *
 * `Methods` maps "VERB path" to the call's parameters and output; `client.ts` turns it into typed functions.
 * Booleans arrive as 0 or 1.
 */

export type Flag = boolean | 0 | 1;
export type Upid = string;
export type GuestType = "qemu" | "lxc";

export interface Realm {
  realm: string;
  type: string;
  comment?: string;
  default?: Flag;
}

/** Privileges by area (`vms`, `storage`, `nodes`, `dc`, `access`), as the login answer lists them. */
export type Capabilities = Record<string, Record<string, Flag> | undefined>;

export interface Ticket {
  username: string;
  ticket?: string;
  CSRFPreventionToken?: string;
  clustername?: string;
  cap?: Capabilities;
}

export interface Version {
  version: string;
  release: string;
  repoid?: string;
}

/** One row of the inventory: a node, a guest or a storage. */
export interface Resource {
  id: string;
  type: string;
  node?: string;
  name?: string;
  vmid?: number;
  status?: string;
  storage?: string;
  plugintype?: string;
  content?: string;
  shared?: Flag;
  template?: Flag;
  lock?: string;
  tags?: string;
  uptime?: number;
  cpu?: number;
  maxcpu?: number;
  mem?: number;
  maxmem?: number;
  disk?: number;
  maxdisk?: number;
  netin?: number;
  netout?: number;
  diskread?: number;
  diskwrite?: number;
}

export interface NodeStatus {
  uptime?: number;
  cpu?: number;
  wait?: number;
  loadavg?: (string | number)[];
  kversion?: string;
  pveversion?: string;
  cpuinfo?: { model?: string; cpus?: number; cores?: number; sockets?: number };
  memory?: { total: number; used: number; free?: number; available?: number };
  swap?: { total: number; used: number; free?: number };
  rootfs?: { total: number; used: number; avail?: number; free?: number };
  "current-kernel"?: { sysname?: string; release?: string; machine?: string; version?: string };
  "boot-info"?: { mode?: string; secureboot?: Flag };
  netin?: number;
  netout?: number;
  diskread?: number;
  diskwrite?: number;
}

export interface StorageInfo {
  storage: string;
  type: string;
  content: string;
  active?: Flag;
  enabled?: Flag;
  shared?: Flag;
  total?: number;
  used?: number;
  avail?: number;
}

export interface Volume {
  volid: string;
  content?: string;
  format: string;
  size: number;
  used?: number;
  ctime?: number;
  vmid?: number;
  notes?: string;
  protected?: Flag;
}

export interface GuestStatus {
  vmid: number;
  status: string;
  name?: string;
  lock?: string;
  uptime?: number;
  cpu?: number;
  cpus?: number;
  mem?: number;
  maxmem?: number;
  swap?: number;
  maxswap?: number;
  disk?: number;
  maxdisk?: number;
  netin?: number;
  netout?: number;
  diskread?: number;
  diskwrite?: number;
  pid?: number;
  template?: Flag;
}

/** A guest's configuration: known keys and devices such as `net0` or `virtio0`. */
export type GuestConfig = Record<string, string | number | boolean | undefined>;

export interface Task {
  upid: Upid;
  node: string;
  type: string;
  id?: string;
  user: string;
  starttime: number;
  endtime?: number;
  status?: string;
}

export interface TaskStatus {
  upid: Upid;
  status: "running" | "stopped";
  exitstatus?: string;
  type: string;
  starttime: number;
}

export interface LogLine {
  n: number;
  t: string;
}

export interface TermProxy {
  port: number;
  ticket: string;
  user: string;
  upid?: Upid;
}

export interface NetworkInterface {
  iface: string;
  type: string;
  active?: Flag;
  address?: string;
  cidr?: string;
}

interface OnNode {
  node: string;
}
interface OnGuest extends OnNode {
  vmid: number;
}
interface OnStorage extends OnNode {
  storage: string;
}
interface OnTask extends OnNode {
  upid: Upid;
}
type Create = OnGuest & Record<string, string | number | boolean | undefined>;

interface Call<P, O> {
  params: P;
  output: O;
}

/** Calls that virtual machines and containers share. */
type GuestMethods<T extends GuestType> = {
  [K in `POST /nodes/{node}/${T}`]: Call<Create, Upid>;
} & { [K in `GET /nodes/{node}/${T}/{vmid}/status/current`]: Call<OnGuest, GuestStatus> } & {
  [K in `POST /nodes/{node}/${T}/{vmid}/status/${"start" | "stop" | "reboot" | "shutdown"}`]: Call<
    OnGuest & { timeout?: number },
    Upid
  >;
} & { [K in `GET /nodes/{node}/${T}/{vmid}/config`]: Call<OnGuest, GuestConfig> } & {
  [K in `PUT /nodes/{node}/${T}/{vmid}/config`]: Call<Create, null>;
} & { [K in `POST /nodes/{node}/${T}/{vmid}/termproxy`]: Call<OnGuest, TermProxy> } & {
  [K in `DELETE /nodes/{node}/${T}/{vmid}`]: Call<OnGuest & { purge?: boolean }, Upid>;
};

export interface Methods extends GuestMethods<"qemu">, GuestMethods<"lxc"> {
  "GET /access/domains": Call<Record<string, never>, Realm[]>;
  "POST /access/ticket": Call<{ username: string; password: string; realm?: string }, Ticket>;
  "GET /version": Call<Record<string, never>, Version>;
  "GET /cluster/resources": Call<Record<string, never>, Resource[]>;
  "GET /cluster/nextid": Call<{ vmid?: number }, string>;
  "GET /cluster/tasks": Call<Record<string, never>, Task[]>;
  "GET /nodes/{node}/status": Call<OnNode, NodeStatus>;
  "GET /nodes/{node}/network": Call<OnNode & { type?: string }, NetworkInterface[]>;
  "GET /nodes/{node}/storage": Call<OnNode & { content?: string }, StorageInfo[]>;
  "GET /nodes/{node}/storage/{storage}/content": Call<OnStorage & { content?: string }, Volume[]>;
  "DELETE /nodes/{node}/storage/{storage}/content/{volume}": Call<
    OnStorage & { volume: string },
    Upid | null
  >;
  "GET /nodes/{node}/tasks": Call<OnNode & { vmid?: number; limit?: number; source?: string }, Task[]>;
  "GET /nodes/{node}/tasks/{upid}/status": Call<OnTask, TaskStatus>;
  "GET /nodes/{node}/tasks/{upid}/log": Call<OnTask & { start?: number; limit?: number }, LogLine[]>;
  "DELETE /nodes/{node}/tasks/{upid}": Call<OnTask, null>;
}
