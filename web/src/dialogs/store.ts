/** Which dialog is open. One at a time; any part of the page may open one. */
import { useSyncExternalStore, type ReactNode } from "react";
import type { Factor, FactorType, RealmType } from "../api/schema";
import type { Task } from "../api/types";
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
  | { kind: "notify"; what: NotifyKind; name?: string | undefined }
  | { kind: "state-disk"; at: GuestRef; disk: StateDisk }
  | { kind: "certificate"; node: string }
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
