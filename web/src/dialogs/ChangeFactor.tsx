/** Renames a second factor, and switches it on and off. */
import { Checkbox } from "@patternfly/react-core";
import { useState } from "react";
import { api } from "../api/client";
import { fieldsOf } from "../api/error";
import type { Factor } from "../api/schema";
import { FormDialog } from "../components/FormDialog";
import { OwnPasswordField, useOwnPassword } from "../components/OwnPassword";
import { factorName } from "../model/factors";
import { NameField, useFactorJob } from "./factorForm";

interface ChangeFactorProps {
  userid: string;
  factor: Factor;
  onClose: () => void;
}

export default function ChangeFactor({ userid, factor, onClose }: ChangeFactorProps) {
  const [name, setName] = useState(factor.description);
  const [enabled, setEnabled] = useState(factor.enable === 1);
  const job = useFactorJob(
    (proof) =>
      api.put("/access/tfa/{userid}/{id}", {
        userid,
        id: factor.id,
        description: name.trim(),
        enable: enabled ? 1 : 0,
        ...proof,
      }),
    onClose,
  );
  const password = useOwnPassword(job.error);
  return (
    <FormDialog
      title={`Change ${factorName(factor)} of ${userid}`}
      verb="Save"
      pending={job.isPending}
      error={job.error}
      onSubmit={() => password.check() && job.mutate(password.params)}
      onClose={onClose}
    >
      <NameField
        value={name}
        complaint={fieldsOf(job.error)["description"]}
        hint="What it is called in the list."
        onChange={setName}
      />
      <Checkbox
        id="factor-enabled"
        label="Counts at logins"
        description="One that does not count stays here and can be switched on again."
        isChecked={enabled}
        onChange={(_event, on) => setEnabled(on)}
      />
      <OwnPasswordField password={password} />
    </FormDialog>
  );
}
