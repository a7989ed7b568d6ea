/** Removes a second factor, after the caller's own password. */
import { api } from "../api/client";
import type { Factor } from "../api/schema";
import { FormDialog } from "../components/FormDialog";
import { OwnPasswordField, useOwnPassword } from "../components/OwnPassword";
import { factorName } from "../model/factors";
import { useFactorJob } from "./factorForm";

interface RemoveFactorProps {
  userid: string;
  factor: Factor;
  onClose: () => void;
}

export default function RemoveFactor({ userid, factor, onClose }: RemoveFactorProps) {
  const job = useFactorJob(
    (proof) => api.delete("/access/tfa/{userid}/{id}", { userid, id: factor.id, ...proof }),
    onClose,
  );
  const password = useOwnPassword(job.error);
  return (
    <FormDialog
      title={`Remove ${factorName(factor)} of ${userid}?`}
      description="It no longer opens the account. Without another second factor, the password alone does."
      verb="Remove"
      danger
      pending={job.isPending}
      error={job.error}
      onSubmit={() => password.check() && job.mutate(password.params)}
      onClose={onClose}
    >
      <OwnPasswordField password={password} />
    </FormDialog>
  );
}
