/** Which dialog is open. One at a time; any part of the page may open one. */
import { useSyncExternalStore, type ReactNode } from "react";
import type {
  AclKind,
  Factor,
  FactorType,
  GroupEntry,
  PoolEntry,
  RealmType,
  RoleEntry,
  TokenEntry,
  UserEntry,
} from "../api/schema";
import type { Resource, Task } from "../api/types";
import type { Disk } from "../model/disks";
import type { GuestRef } from "../model/guest";
import type { NotifyKind } from "../model/notifications";

export interface Confirm {
  kind: "confirm";
  title: string;
  body: ReactNode;
  /** Name of the button that does it. */
  verb: string;
  danger?: boolean;
  /** Does it; an error is shown in the dialog. */
  run: () => Promise<unknown>;
}

/** Where a volume goes that keeps a machine's state, or tells cloud-init. */
export type StateDisk = "efidisk0" | "tpmstate0" | `ide${number}`;

export type Dialog =
  | Confirm
  | { kind: "create-vm"; node?: string | undefined }
  | { kind: "create-container"; node?: string | undefined }
  | { kind: "upload"; node: string; storage: string; kinds: string[]; preset?: string | undefined }
  | { kind: "update"; node: string }
  | { kind: "update-source"; node: string }
  | { kind: "factor-add"; userid: string; type: FactorType }
  | { kind: "factor-change"; userid: string; factor: Factor }
  | { kind: "factor-remove"; userid: string; factor: Factor }
  | { kind: "realm"; type: RealmType; realm?: string | undefined }
  | { kind: "realm-sync"; realm: string }
  | { kind: "user"; user?: UserEntry | undefined }
  | { kind: "password"; userid: string }
  | { kind: "group"; group?: GroupEntry | undefined }
  | { kind: "members"; groupid: string }
  | { kind: "role"; role?: RoleEntry | undefined; like?: RoleEntry | undefined }
  | { kind: "acl"; path?: string | undefined; to?: { kind: AclKind; id: string } | undefined }
  | { kind: "token"; userid?: string | undefined; token?: TokenEntry | undefined }
  | { kind: "permissions"; authid: string }
  | { kind: "pool"; pool?: PoolEntry | undefined; parent?: string | undefined }
  | { kind: "pool-members"; poolid: string; what: "guests" | "storages"; members: readonly Resource[] }
  | { kind: "notify"; what: NotifyKind; name?: string | undefined }
  | { kind: "state-disk"; at: GuestRef; disk: StateDisk }
  | { kind: "grow-disk"; at: GuestRef; disk: Disk; digest: string | undefined }
  | { kind: "certificate"; node: string }
  | { kind: "smart"; node: string; disk: string }
  | { kind: "zfs-pool"; node: string; name: string }
  | { kind: "task"; task: Pick<Task, "upid" | "node" | "type" | "id" | "user" | "starttime"> };

let open: Dialog | undefined;
const listeners = new Set<() => void>();

/** Opens a dialog, in place of one that may be open. */
export function openDialog(dialog: Dialog): void {
  change(dialog);
}

export function closeDialog(): void {
  change(undefined);
}

function change(next: Dialog | undefined): void {
  open = next;
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The open dialog, live. */
export function useDialog(): Dialog | undefined {
  return useSyncExternalStore(subscribe, () => open);
}
