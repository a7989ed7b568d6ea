/** The certificates of a node: what browsers are shown, and how to bring one of your own. */
import { ClipboardCopyButton, Label, Skeleton } from "@patternfly/react-core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api } from "../api/client";
import { queries } from "../api/queries";
import type { Certificate } from "../api/schema";
import { useMay } from "../api/session";
import { ActionButton } from "../components/ActionButton";
import { ErrorNote } from "../components/ErrorNote";
import { Facts } from "../components/Facts";
import { Panel } from "../components/Panel";
import { openDialog } from "../dialogs/store";
import { calendarDay } from "../model/format";
import { isBrought, lifeOf } from "../model/certificate";
import { showToast } from "../shell/toasts";

export function NodeCertificates({ node }: { node: string }) {
  const { data: found, error, refetch } = useQuery(queries.certificates(node));
  if (error && !found)
    return <ErrorNote title="The certificates cannot be read" error={error} onRetry={() => void refetch()} />;
  if (!found) return <Skeleton height="14rem" screenreaderText="Loading certificates" />;
  return (
    <>
      <Panel title="What browsers are shown" tools={<Tools node={node} isOwn={!found.some(isBrought)} />}>
        <p className="quiet">
          {found.some((certificate) => certificate.issuer === certificate.subject)
            ? "This certificate signed itself, so browsers warn of it. Bring one that an authority signed."
            : "Anybody who believes its issuer is shown no warning."}
        </p>
      </Panel>
      {found.length === 0 && (
        <Panel>
          <p className="quiet">This node tells of no certificate.</p>
        </Panel>
      )}
      <div className="columns">
        {found.map((certificate) => (
          <One key={certificate.filename} certificate={certificate} />
        ))}
      </div>
    </>
  );
}

function Tools({ node, isOwn }: { node: string; isOwn: boolean }) {
  const may = useMay();
  const client = useQueryClient();
  const because = may("nodes", "Sys.Modify") ? undefined : "your account lacks the privilege Sys.Modify";

  async function remove(): Promise<void> {
    await api.delete("/nodes/{node}/certificates/custom", { node, restart: 1 });
    await client.invalidateQueries({ queryKey: ["node", node, "certificates"] });
    showToast({ variant: "success", title: "New connections are shown the node's own certificate" });
  }
  return (
    <>
      <ActionButton
        size="sm"
        variant="secondary"
        isDanger
        disabledBecause={because ?? (isOwn ? "this is the node's own certificate" : undefined)}
        onClick={() =>
          openDialog({
            kind: "confirm",
            title: `Go back to the own certificate of ${node}?`,
            body: "The one that was brought is removed. Browsers warn of the node's own, which it made itself.",
            verb: "Go back",
            danger: true,
            run: remove,
          })
        }
      >
        Go back to the own
      </ActionButton>
      <ActionButton
        size="sm"
        disabledBecause={because}
        onClick={() => openDialog({ kind: "certificate", node })}
      >
        Bring a certificate
      </ActionButton>
    </>
  );
}

function One({ certificate }: { certificate: Certificate }) {
  const [copied, setCopied] = useState(false);
  const { text, status } = lifeOf(certificate.notafter);
  const id = `certificate-${certificate.filename}`;
  return (
    <Panel
      title="Certificate"
      tools={
        <ClipboardCopyButton
          id={`${id}-copy`}
          textId={id}
          aria-label={`Copy ${certificate.filename}`}
          onClick={() => {
            void navigator.clipboard?.writeText(certificate.pem).then(() => setCopied(true));
          }}
        >
          {copied ? "Copied" : "Copy as PEM"}
        </ClipboardCopyButton>
      }
    >
      <span id={id} hidden>
        {certificate.pem}
      </span>
      <Facts
        facts={{
          File: <code>{certificate.filename}</code>,
          For: certificate.san.join(", "),
          Subject: certificate.subject,
          Issuer: certificate.issuer,
          Valid: (
            <span className="with-icon">
              {`${calendarDay(certificate.notbefore)} to ${calendarDay(certificate.notafter)}`}
              <Label status={status} variant="outline" isCompact>
                {text}
              </Label>
            </span>
          ),
          Key: `${certificate["public-key-type"]}, ${certificate["public-key-bits"]} bits`,
          Fingerprint: <code className="fingerprint">{certificate.fingerprint}</code>,
        }}
      />
    </Panel>
  );
}
