/** Adds a pool, or changes what describes it. */
import { useState } from "react";
import { api } from "../api/client";
import { fieldsOf } from "../api/error";
import type { PoolEntry } from "../api/schema";
import { FormDialog } from "../components/FormDialog";
import { LineField } from "../components/LineField";
import { useAccessJob } from "../components/usePermissions";
import { checkPoolName } from "../model/pools";

interface PoolDialogProps {
  /** The pool to change; a new one when absent. */
  pool?: PoolEntry | undefined;
  /** The pool that a new one lies in. */
  parent?: string | undefined;
  onClose: () => void;
}

export default function PoolDialog({ pool, parent, onClose }: PoolDialogProps) {
  const [name, setName] = useState("");
  const [comment, setComment] = useState(pool?.comment ?? "");
  const [tried, setTried] = useState(false);
  const poolid = pool?.poolid ?? (parent === undefined ? name : `${parent}/${name}`);
  const job = useAccessJob(
    () =>
      pool
        ? api.put("/pools", { poolid, comment })
        : api.post("/pools", { poolid, ...(comment ? { comment } : {}) }),
    onClose,
  );
  const wrong = pool ? undefined : checkPoolName(name);
  const refused = fieldsOf(job.error);

  function submit(): void {
    setTried(true);
    if (wrong === undefined) job.mutate(undefined);
  }
  return (
    <FormDialog
      title={pool ? `Pool ${poolid}` : parent === undefined ? "Add a pool" : `Add a pool in ${parent}`}
      {...(pool ? {} : { description: "Who has a role on a pool has it on the guests and storages in it." })}
      verb={pool ? "Save" : "Add"}
      pending={job.isPending}
      error={job.error}
      blocked={pool !== undefined && comment === (pool.comment ?? "")}
      onSubmit={submit}
      onClose={onClose}
    >
      {!pool && (
        <LineField
          id="pool-name"
          label="Name"
          required
          complaint={(tried ? wrong : undefined) ?? refused["poolid"]}
          hint="It cannot be changed later."
          value={name}
          onChange={setName}
        />
      )}
      <LineField
        id="pool-comment"
        label="Description"
        complaint={refused["comment"]}
        value={comment}
        onChange={setComment}
      />
    </FormDialog>
  );
}
