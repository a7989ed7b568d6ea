/** Gives a virtual machine a volume for firmware variables, a TPM, or cloud-init. */
import { Checkbox, FormSelect, FormSelectOption } from "@patternfly/react-core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api } from "../api/client";
import { fieldsOf } from "../api/error";
import { FormDialog } from "../components/FormDialog";
import { described, FormField } from "../components/FormField";
import type { GuestRef } from "../model/guest";
import type { StateDisk } from "./store";
import { useStoragesFor } from "./wizardFields";

interface StateDiskDialogProps {
  at: GuestRef;
  disk: StateDisk;
  onClose: () => void;
}

function about(disk: StateDisk): { title: string; description: string; value: (storage: string) => string } {
  switch (disk) {
    case "efidisk0":
      return {
        title: "Keep the firmware's variables",
        description: "Boot entries and settings of UEFI then outlive the machine's end.",
        value: (storage) => `${storage}:1,efitype=4m`,
      };
    case "tpmstate0":
      return {
        title: "Add a TPM",
        description: "A trusted platform module (TPM 2.0), as Windows 11 and encrypted disks want it.",
        value: (storage) => `${storage}:1,version=v2.0`,
      };
    default:
      return {
        title: "Add the drive of cloud-init",
        description: "The guest reads its user, keys and addresses from it when it boots.",
        value: (storage) => `${storage}:cloudinit`,
      };
  }
}

export default function StateDiskDialog({ at, disk, onClose }: StateDiskDialogProps) {
  const storages = useStoragesFor(at.node, "images");
  const [picked, setPicked] = useState<string>();
  const [keys, setKeys] = useState(false);
  const client = useQueryClient();
  const storage = picked ?? storages[0]?.value ?? "";
  const { title, description, value } = about(disk);
  const job = useMutation({
    mutationFn: () => {
      const secure = disk === "efidisk0" && keys ? ",pre-enrolled-keys=1" : "";
      const change: Record<string, string> = { [disk]: `${value(storage)}${secure}` };
      return api.put("/nodes/{node}/qemu/{vmid}/config", { ...change, node: at.node, vmid: at.vmid });
    },
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ["guest", at.type, at.vmid] });
      onClose();
    },
  });
  const complaint = fieldsOf(job.error)[disk];
  return (
    <FormDialog
      title={title}
      description={description}
      verb="Add"
      pending={job.isPending}
      error={job.error}
      blocked={storage === ""}
      onSubmit={() => job.mutate()}
      onClose={onClose}
    >
      <FormField
        id="state-storage"
        label="Storage"
        required
        complaint={complaint}
        hint={storages.length === 0 ? "No storage of this node takes disk images." : undefined}
      >
        <FormSelect
          {...described("state-storage", complaint)}
          value={storage}
          onChange={(_event, next) => setPicked(next)}
        >
          {storages.map((option) => (
            <FormSelectOption key={option.value} {...option} />
          ))}
        </FormSelect>
      </FormField>
      {disk === "efidisk0" && (
        <Checkbox
          id="state-keys"
          label="Secure Boot, with the usual keys"
          description="The guest then boots only what Microsoft or its distribution signed."
          isChecked={keys}
          onChange={(_event, on) => setKeys(on)}
        />
      )}
    </FormDialog>
  );
}
