/** Puts guests or storages into a pool. */
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api } from "../api/client";
import { fieldsOf } from "../api/error";
import { useInventory, type Inventory } from "../api/queries";
import type { Resource } from "../api/types";
import { FormDialog } from "../components/FormDialog";
import { SettingField } from "../components/SettingField";
import { useAccessJob, usePermissions } from "../components/usePermissions";
import { mayGive, words, type Permissions } from "../model/access";
import { shortName } from "../model/guest";
import type { Choice, Setting } from "../model/settings";

export type MemberKind = "guests" | "storages";

interface PoolMembersDialogProps {
  poolid: string;
  what: MemberKind;
  /** What is in the pool. */
  members: readonly Resource[];
  onClose: () => void;
}

/** Guests that can be put into a pool, with the pool that they would leave. */
function guestChoices(inventory: Inventory, own: Permissions | undefined, poolid: string): Choice[] {
  return inventory.guests
    .filter((guest) => guest.resource.pool !== poolid)
    .filter(({ vmid }) => own === undefined || mayGive(own, `/vms/${vmid}`))
    .map((guest) => {
      const { pool } = guest.resource;
      const leaves = pool ? `, now in the pool ${pool}` : "";
      return { value: String(guest.vmid), label: `${shortName(guest)} ${guest.name}${leaves}` };
    });
}

/** Storages can be in several pools; each stands once, though every node has it. */
function storageChoices(inventory: Inventory, own: Permissions | undefined, have: Set<string>): Choice[] {
  const names = new Set(inventory.storages.map(({ storage }) => storage ?? ""));
  return [...names]
    .filter((name) => name !== "" && !have.has(name))
    .filter((name) => own === undefined || mayGive(own, `/storage/${name}`))
    .map((name) => ({ value: name, label: name }));
}

export default function PoolMembersDialog({ poolid, what, members, onClose }: PoolMembersDialogProps) {
  const { inventory } = useInventory();
  const own = usePermissions();
  const client = useQueryClient();
  const [value, setValue] = useState("");
  const param = what === "guests" ? "vms" : "storage";
  const job = useAccessJob(
    () => api.put("/pools", { poolid, [param]: value, ...(leaving ? { "allow-move": 1 as const } : {}) }),
    () => {
      // Guests say there which pool they are in.
      void client.invalidateQueries({ queryKey: ["resources"] });
      onClose();
    },
  );
  const have = new Set(members.map(({ storage }) => storage ?? ""));
  const options = !inventory
    ? []
    : what === "guests"
      ? guestChoices(inventory, own, poolid)
      : storageChoices(inventory, own, have);
  const chosen = words(value);
  const leaving =
    what === "guests" &&
    inventory?.guests.some(({ vmid, resource }) => resource.pool && chosen.includes(String(vmid)));
  const setting: Setting = {
    key: param,
    label: what === "guests" ? "Guests" : "Storages",
    kind: "several",
    fallback: "",
    separator: ",",
    none: "",
    options,
    ...(options.length === 0 ? { hint: "There are none that you could put into this pool." } : {}),
  };
  return (
    <FormDialog
      title={`Put ${what} into ${poolid}`}
      verb={leaving ? "Move" : "Add"}
      pending={job.isPending}
      error={job.error}
      blocked={chosen.length === 0}
      onSubmit={() => job.mutate(undefined)}
      onClose={onClose}
    >
      <SettingField
        setting={setting}
        value={value}
        complaint={fieldsOf(job.error)[param]}
        onChange={setValue}
      />
    </FormDialog>
  );
}
