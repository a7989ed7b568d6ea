/** Adds a security key: the server's challenge, the key's answer, and back. */
import { Alert } from "@patternfly/react-core";
import { useState } from "react";
import { api } from "../api/client";
import { fieldsOf } from "../api/error";
import { keysWork, makeKey } from "../api/webauthn";
import { FormDialog } from "../components/FormDialog";
import { OwnPasswordField, useOwnPassword, type OwnPassword } from "../components/OwnPassword";
import { showToast } from "../shell/toasts";
import { NameField, useFactorJob } from "./factorForm";

export function AddKey({ userid, onClose }: { userid: string; onClose: () => void }) {
  const [name, setName] = useState("");
  const [tried, setTried] = useState(false);
  const works = keysWork();

  async function register(proof: OwnPassword["params"]) {
    const fields = { userid, type: "webauthn" as const, description: name.trim(), ...proof };
    const { challenge } = await api.post("/access/tfa/{userid}", fields);
    if (!challenge) throw new Error("The server gave no challenge for the key.");
    return api.post("/access/tfa/{userid}", { ...fields, ...(await makeKey(challenge)) });
  }
  const job = useFactorJob(register, () => {
    showToast({ variant: "success", title: "The security key is set up" });
    onClose();
  });
  const password = useOwnPassword(job.error);
  const nameless = tried && name.trim() === "" ? "Enter a name." : fieldsOf(job.error)["description"];

  function submit(): void {
    setTried(true);
    if (password.check() && name.trim() !== "") job.mutate(password.params);
  }
  return (
    <FormDialog
      title={`Add a security key for ${userid}`}
      description="Plug it in. The browser says when to touch it."
      verb="Add"
      pending={job.isPending}
      error={job.error}
      blocked={!works}
      onSubmit={submit}
      onClose={onClose}
    >
      {!works && (
        <Alert
          isInline
          variant="warning"
          title="This browser lets no page here ask a security key. Open Basalt by https and a name, not an address."
        />
      )}
      <NameField value={name} complaint={nameless} hint="Such as where you keep it." onChange={setName} />
      <OwnPasswordField password={password} />
    </FormDialog>
  );
}
