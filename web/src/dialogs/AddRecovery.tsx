/** Makes recovery codes and shows them, this once. */
import { Alert, Button, Checkbox, Modal, ModalBody, ModalFooter, ModalHeader } from "@patternfly/react-core";
import { useState } from "react";
import { api } from "../api/client";
import { FormDialog } from "../components/FormDialog";
import { OwnPasswordField, useOwnPassword } from "../components/OwnPassword";
import { showToast } from "../shell/toasts";
import { useFactorJob } from "./factorForm";

export function AddRecovery({ userid, onClose }: { userid: string; onClose: () => void }) {
  const [codes, setCodes] = useState<readonly string[]>();
  const job = useFactorJob(
    (proof) => api.post("/access/tfa/{userid}", { userid, type: "recovery", ...proof }),
    (made) => setCodes(made.recovery ?? []),
  );
  const password = useOwnPassword(job.error);
  if (codes) return <Codes userid={userid} codes={codes} onClose={onClose} />;
  return (
    <FormDialog
      title={`Make recovery codes for ${userid}`}
      description="Each is good for one login, for when the other factors are lost. They are shown once: have paper or a password manager at hand."
      verb="Make codes"
      pending={job.isPending}
      error={job.error}
      onSubmit={() => password.check() && job.mutate(password.params)}
      onClose={onClose}
    >
      <OwnPasswordField password={password} />
    </FormDialog>
  );
}

interface CodesProps {
  userid: string;
  codes: readonly string[];
  onClose: () => void;
}

/** Stays until the reader says that the codes are kept: they cannot be shown again. */
function Codes({ userid, codes, onClose }: CodesProps) {
  const [kept, setKept] = useState(false);
  const text = codes.join("\n");
  async function copy(): Promise<void> {
    try {
      await navigator.clipboard.writeText(text);
      showToast({ variant: "success", title: "The codes are in the clipboard" });
    } catch {
      showToast({ variant: "warning", title: "The browser copies nothing: mark the codes by hand" });
    }
  }
  return (
    <Modal variant="small" isOpen aria-labelledby="codes-title">
      <ModalHeader title={`Recovery codes of ${userid}`} labelId="codes-title" />
      <ModalBody>
        <div className="stack">
          <Alert isInline variant="warning" title="They are not shown again" />
          <ol className="codes" aria-label="Recovery codes">
            {codes.map((code) => (
              <li key={code}>
                <code>{code}</code>
              </li>
            ))}
          </ol>
          <Checkbox
            id="codes-kept"
            label="I have put them where I find them"
            isChecked={kept}
            onChange={(_event, on) => setKept(on)}
          />
        </div>
      </ModalBody>
      <ModalFooter>
        <Button isDisabled={!kept} onClick={onClose}>
          Close
        </Button>
        <Button variant="secondary" onClick={() => void copy()}>
          Copy
        </Button>
      </ModalFooter>
    </Modal>
  );
}
