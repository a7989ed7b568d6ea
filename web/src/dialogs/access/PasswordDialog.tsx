/** Sets the password of a user whose password is kept here. */
import { useState } from "react";
import { api } from "../../api/client";
import { fieldsOf } from "../../api/error";
import { useUser } from "../../api/session";
import { FormDialog } from "../../components/FormDialog";
import { LineField } from "../../components/LineField";
import { useAccessJob } from "../../components/usePermissions";
import { showToast } from "../../shell/toasts";
import { NewPassword, useNewPassword } from "./newPassword";

export default function PasswordDialog({ userid, onClose }: { userid: string; onClose: () => void }) {
  const own = useUser() === userid;
  const [present, setPresent] = useState("");
  const job = useAccessJob(
    (password: string) =>
      api.put("/access/password", {
        userid,
        password,
        ...(own ? { "confirmation-password": present } : {}),
      }),
    () => {
      showToast({ variant: "success", title: `${userid} has a new password` });
      onClose();
    },
  );
  const password = useNewPassword(job.error);
  return (
    <FormDialog
      title={own ? "Your password" : `Password of ${userid}`}
      verb="Set"
      pending={job.isPending}
      error={job.error}
      onSubmit={() => password.check() && job.mutate(password.first)}
      onClose={onClose}
    >
      {own && (
        <LineField
          id="present-password"
          label="Your present password"
          required
          secret="present"
          complaint={fieldsOf(job.error)["confirmation-password"]}
          value={present}
          onChange={setPresent}
        />
      )}
      <NewPassword password={password} />
    </FormDialog>
  );
}
