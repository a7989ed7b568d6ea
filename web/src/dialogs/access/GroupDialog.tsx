/** Adds a group, or changes what describes it. */
import { useState } from "react";
import { api } from "../../api/client";
import { fieldsOf } from "../../api/error";
import type { GroupEntry } from "../../api/schema";
import { FormDialog } from "../../components/FormDialog";
import { LineField } from "../../components/LineField";
import { useAccessJob } from "../../components/usePermissions";
import { checkIdentifier } from "../../model/access";

interface GroupDialogProps {
  /** The group to change; a new one when absent. */
  group?: GroupEntry | undefined;
  onClose: () => void;
}

export default function GroupDialog({ group, onClose }: GroupDialogProps) {
  const [name, setName] = useState("");
  const [comment, setComment] = useState(group?.comment ?? "");
  const [tried, setTried] = useState(false);
  const job = useAccessJob(
    () =>
      group
        ? api.put("/access/groups/{groupid}", { groupid: group.groupid, comment })
        : api.post("/access/groups", { groupid: name, ...(comment ? { comment } : {}) }),
    onClose,
  );
  const wrong = group ? undefined : checkIdentifier(name);
  const refused = fieldsOf(job.error);

  function submit(): void {
    setTried(true);
    if (wrong === undefined) job.mutate(undefined);
  }
  return (
    <FormDialog
      title={group ? `Group ${group.groupid}` : "Add a group"}
      verb={group ? "Save" : "Add"}
      pending={job.isPending}
      error={job.error}
      blocked={group !== undefined && comment === (group.comment ?? "")}
      onSubmit={submit}
      onClose={onClose}
    >
      {!group && (
        <LineField
          id="group-name"
          label="Name"
          required
          complaint={(tried ? wrong : undefined) ?? refused["groupid"]}
          hint="It cannot be changed later."
          value={name}
          onChange={setName}
        />
      )}
      <LineField
        id="group-comment"
        label="Description"
        complaint={refused["comment"]}
        value={comment}
        onChange={setComment}
      />
    </FormDialog>
  );
}
