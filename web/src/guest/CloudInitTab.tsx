/** What a virtual machine tells cloud-init in its guest. */
import {
  Alert,
  EmptyState,
  EmptyStateActions,
  EmptyStateBody,
  EmptyStateFooter,
  Skeleton,
  ToggleGroup,
  ToggleGroupItem,
} from "@patternfly/react-core";
import CloudIcon from "@patternfly/react-icons/dist/esm/icons/cloud-icon";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api } from "../api/client";
import { queries } from "../api/queries";
import { useMay } from "../api/session";
import type { GuestConfig } from "../api/types";
import { ActionButton } from "../components/ActionButton";
import { ErrorNote } from "../components/ErrorNote";
import { Panel } from "../components/Panel";
import { openDialog, type StateDisk } from "../dialogs/store";
import {
  cards,
  cardSettings,
  cloudDrive,
  DNS_SETTINGS,
  freeDrive,
  storageOf,
  USER_SETTINGS,
} from "../model/cloudinit";
import type { GuestRef } from "../model/guest";
import { showToast } from "../shell/toasts";
import { SettingsForm } from "./SettingsForm";

interface CloudInitTabProps {
  at: GuestRef;
  running: boolean;
}

export function CloudInitTab({ at, running }: CloudInitTabProps) {
  const { data: config, error, refetch } = useQuery(queries.guestConfig(at));
  if (error && !config)
    return (
      <ErrorNote title="The configuration cannot be read" error={error} onRetry={() => void refetch()} />
    );
  if (!config) return <Skeleton height="14rem" screenreaderText="Loading the configuration" />;
  const drive = cloudDrive(config);
  const settings = [...USER_SETTINGS, ...DNS_SETTINGS, ...cards(config).flatMap(cardSettings)];
  return (
    <>
      {drive ? (
        <DrivePanel at={at} config={config} drive={drive} running={running} />
      ) : (
        <NoDrive at={at} config={config} />
      )}
      <SettingsForm
        title="What the guest is told"
        at={at}
        config={config}
        settings={settings}
        note={running ? "The guest sees it when the drive is written anew and it boots again." : undefined}
      />
      {drive && <Documents at={at} />}
    </>
  );
}

function NoDrive({ at, config }: { at: GuestRef; config: GuestConfig }) {
  const may = useMay();
  const free = freeDrive(config);
  const because = !may("vms", "VM.Config.CDROM")
    ? "your account lacks the privilege VM.Config.CDROM"
    : free === undefined
      ? "all IDE places are taken: remove a drive first"
      : undefined;
  return (
    <Panel>
      <EmptyState titleText="This machine has no drive of cloud-init" headingLevel="h2" icon={CloudIcon}>
        <EmptyStateBody>
          Images of most distributions for clouds set up their user, keys and addresses from it at the first
          boot. Without the drive, the settings below reach nobody.
        </EmptyStateBody>
        <EmptyStateFooter>
          <EmptyStateActions>
            <ActionButton
              disabledBecause={because}
              onClick={() => openDialog({ kind: "state-disk", at, disk: free as StateDisk })}
            >
              Add the drive
            </ActionButton>
          </EmptyStateActions>
        </EmptyStateFooter>
      </EmptyState>
    </Panel>
  );
}

interface DrivePanelProps extends CloudInitTabProps {
  config: GuestConfig;
  drive: string;
}

/** Where the drive lies, whether it is up to date, and what can be done to it. */
function DrivePanel({ at, config, drive, running }: DrivePanelProps) {
  const may = useMay();
  const client = useQueryClient();
  const where = { node: at.node, vmid: at.vmid };
  const { data: pending } = useQuery(queries.cloudPending(at));
  const waiting = (pending ?? []).filter((entry) => entry.pending !== undefined || entry.delete);
  const reread = () => client.invalidateQueries({ queryKey: ["guest", at.type, at.vmid] });
  const write = useMutation({
    mutationFn: () => api.put("/nodes/{node}/qemu/{vmid}/cloudinit", where),
    onSuccess: async () => {
      await reread();
      showToast({ variant: "success", title: "The drive is written anew" });
    },
  });
  const because = may("vms", "VM.Config.Cloudinit")
    ? undefined
    : "your account lacks the privilege VM.Config.Cloudinit";
  const noDrives = may("vms", "VM.Config.CDROM")
    ? undefined
    : "your account lacks the privilege VM.Config.CDROM";

  async function remove(): Promise<void> {
    await api.put("/nodes/{node}/qemu/{vmid}/config", { ...where, delete: drive });
    await reread();
  }
  return (
    <Panel
      title="Drive"
      tools={
        <>
          <ActionButton
            size="sm"
            variant="secondary"
            isDanger
            disabledBecause={noDrives}
            onClick={() =>
              openDialog({
                kind: "confirm",
                title: "Remove the drive of cloud-init?",
                body: "The settings stay; a guest that has read them keeps what it was told.",
                verb: "Remove",
                danger: true,
                run: remove,
              })
            }
          >
            Remove
          </ActionButton>
          <ActionButton
            size="sm"
            variant="secondary"
            isLoading={write.isPending}
            disabledBecause={because}
            onClick={() => write.mutate()}
          >
            Write it anew
          </ActionButton>
        </>
      }
    >
      <div className="stack-tight">
        {write.error && <ErrorNote title="The drive was not written" error={write.error} />}
        <p>
          <code>{drive}</code> on the storage {storageOf(String(config[drive]))}.{" "}
          <span className="quiet">
            {running ? "Each start writes it anew, too." : "The next start writes it anew."}
          </span>
        </p>
        {waiting.length > 0 && (
          <Alert
            isInline
            variant="info"
            title={`Not on the drive yet: ${waiting.map((entry) => entry.key).join(", ")}`}
          />
        )}
      </div>
    </Panel>
  );
}

const DOCUMENTS = [
  { type: "user", title: "User" },
  { type: "network", title: "Network" },
  { type: "meta", title: "Machine" },
] as const;

/** What the guest reads, to look at. */
function Documents({ at }: { at: GuestRef }) {
  const [type, setType] = useState<(typeof DOCUMENTS)[number]["type"]>("user");
  const { data, error } = useQuery(queries.cloudDocument(at, type));
  return (
    <Panel
      title="What the guest reads"
      tools={
        <ToggleGroup aria-label="Document" isCompact>
          {DOCUMENTS.map((document) => (
            <ToggleGroupItem
              key={document.type}
              buttonId={`document-${document.type}`}
              text={document.title}
              isSelected={type === document.type}
              onChange={() => setType(document.type)}
            />
          ))}
        </ToggleGroup>
      }
    >
      {error && data === undefined && <ErrorNote title="The document cannot be read" error={error} />}
      {data === undefined && !error && <Skeleton height="8rem" screenreaderText="Loading the document" />}
      {data !== undefined && (
        <pre className="log" tabIndex={0} aria-label={`Document of cloud-init: ${type}`}>
          {data}
        </pre>
      )}
    </Panel>
  );
}
