/** Brings a certificate for the node to show. */
import { Alert, TextArea } from "@patternfly/react-core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api } from "../api/client";
import { fieldsOf } from "../api/error";
import { FormDialog } from "../components/FormDialog";
import { described, FormField } from "../components/FormField";
import { checkPem } from "../model/certificate";
import { showToast } from "../shell/toasts";

interface CertificateDialogProps {
  node: string;
  onClose: () => void;
}

export default function CertificateDialog({ node, onClose }: CertificateDialogProps) {
  const [chain, setChain] = useState("");
  const [key, setKey] = useState("");
  const [tried, setTried] = useState(false);
  const client = useQueryClient();
  const job = useMutation({
    mutationFn: () =>
      api.post("/nodes/{node}/certificates/custom", {
        node,
        certificates: chain,
        ...(key.trim() === "" ? {} : { key }),
        force: 1,
        restart: 1,
      }),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ["node", node, "certificates"] });
      showToast({ variant: "success", title: "New connections are shown the certificate" });
      onClose();
    },
  });
  const refused = fieldsOf(job.error);
  const noChain = checkPem(chain, "certificate");
  const noKey = key.trim() === "" ? undefined : checkPem(key, "key");

  function submit(): void {
    setTried(true);
    if (!noChain && !noKey) job.mutate();
  }
  return (
    <FormDialog
      title={`Bring a certificate for ${node}`}
      variant="medium"
      description="It takes the place of the one that is shown now."
      verb="Bring"
      pending={job.isPending}
      error={job.error}
      onSubmit={submit}
      onClose={onClose}
    >
      <PemField
        id="certificate-chain"
        label="Certificates"
        hint="The node's own first, then those that lead to its root, in PEM. Drop a file here, or paste."
        complaint={(tried ? noChain : undefined) ?? refused["certificates"]}
        value={chain}
        onChange={setChain}
        required
      />
      <PemField
        id="certificate-key"
        label="Private key"
        hint="In PEM (PKCS #8). Empty to keep the key that is there. It is never shown."
        complaint={(tried ? noKey : undefined) ?? refused["key"]}
        value={key}
        onChange={setKey}
        required={false}
      />
      <Alert
        isInline
        isPlain
        variant="info"
        title="Browsers that are connected may have to load the page again."
      />
    </FormDialog>
  );
}

interface PemFieldProps {
  id: string;
  label: string;
  hint: string;
  complaint: string | undefined;
  value: string;
  required: boolean;
  onChange: (value: string) => void;
}

/** Larger files are none of these. */
const LARGEST = 1 << 20;

/** Text in PEM, typed, pasted, or out of a file that is dropped or chosen. */
function PemField({ id, label, hint, complaint, value, required, onChange }: PemFieldProps) {
  async function take(file: File | undefined): Promise<void> {
    if (file && file.size <= LARGEST) onChange(await file.text());
  }
  return (
    <FormField id={id} label={label} required={required} hint={hint} complaint={complaint}>
      <TextArea
        {...described(id, complaint)}
        className="pem"
        rows={6}
        resizeOrientation="vertical"
        spellCheck={false}
        value={value}
        onChange={(_event, text) => onChange(text)}
        onDrop={(event) => {
          if (event.dataTransfer.files.length === 0) return;
          event.preventDefault();
          void take(event.dataTransfer.files[0]);
        }}
      />
      <input
        type="file"
        aria-label={`File with the ${label.toLowerCase()}`}
        accept=".pem,.crt,.cer,.key"
        onChange={(event) => void take(event.target.files?.[0])}
      />
    </FormField>
  );
}
