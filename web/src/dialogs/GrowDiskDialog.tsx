/** Makes a disk larger. */
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api } from "../api/client";
import { fieldsOf } from "../api/error";
import { taskWatch } from "../api/watch";
import { FormDialog } from "../components/FormDialog";
import { LineField } from "../components/LineField";
import { grown, type Disk } from "../model/disks";
import { bytes } from "../model/format";
import { shortName, type GuestRef } from "../model/guest";
import { checkInteger } from "../model/validate";

interface GrowDiskDialogProps {
  at: GuestRef;
  disk: Disk;
  /** Of the configuration that names the disk. */
  digest: string | undefined;
  onClose: () => void;
}

/** Largest disk in GiB. */
const MOST = 128 * 1024;

const AFTERWARDS = {
  qemu: "A running guest sees it at once. Its partitions and file systems stay as they are: grow them there.",
  lxc: "The file system on it grows with it.",
};

export default function GrowDiskDialog({ at, disk, digest, onClose }: GrowDiskDialogProps) {
  const { key, size } = disk;
  const [more, setMore] = useState("");
  const [tried, setTried] = useState(false);
  const client = useQueryClient();
  const job = useMutation({
    mutationFn: () =>
      api.put(`/nodes/{node}/${at.type}/{vmid}/resize`, {
        node: at.node,
        vmid: at.vmid,
        disk: key,
        size: `+${more}G`,
        ...(digest === undefined ? {} : { digest }),
      }),
    onSuccess: async (upid) => {
      taskWatch.track(upid, `Grow ${key} of ${shortName(at)}`);
      await client.invalidateQueries({ queryKey: ["tasks"] });
      onClose();
    },
    // It may have been another configuration: opened anew, this dialog knows the present one.
    onError: () => client.invalidateQueries({ queryKey: ["guest", at.type, at.vmid] }),
  });
  const wrong = checkInteger(more, 1, MOST, "GiB");
  const refused = fieldsOf(job.error);
  const hint = size === undefined ? undefined : becomes(size, wrong === undefined ? Number(more) : 0);

  function submit(): void {
    setTried(true);
    if (wrong === undefined) job.mutate();
  }
  return (
    <FormDialog
      title={`Grow ${key} of ${shortName(at)}`}
      description={`${AFTERWARDS[at.type]} A disk cannot be made smaller again.`}
      verb="Grow"
      pending={job.isPending}
      error={job.error}
      onSubmit={submit}
      onClose={onClose}
    >
      <LineField
        id="grow-more"
        label="How much larger (GiB)"
        required
        {...(hint === undefined ? {} : { hint })}
        complaint={(tried ? wrong : undefined) ?? refused["size"] ?? refused["disk"]}
        value={more}
        onChange={setMore}
      />
    </FormDialog>
  );
}

function becomes(size: number, more: number): string {
  return more === 0
    ? `It has ${bytes(size)}.`
    : `It has ${bytes(size)}, and will have ${bytes(grown(size, more))}.`;
}
