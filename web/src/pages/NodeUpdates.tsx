/** Updates of a node: what its slots hold, what there is to install, and why one was undone. */
import { Alert, Label, Skeleton } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { api } from "../api/client";
import { queries } from "../api/queries";
import type { UpdateSlot, UpdateStatus } from "../api/schema";
import { useMay } from "../api/session";
import { taskWatch } from "../api/watch";
import { ActionButton } from "../components/ActionButton";
import { ErrorNote } from "../components/ErrorNote";
import { Facts } from "../components/Facts";
import { Panel } from "../components/Panel";
import { openDialog } from "../dialogs/store";

/** Says that a version was tried and left behind, and why. */
export function FallBackNote({ node }: { node: string }) {
  const { data: status } = useQuery(queries.updateStatus(node));
  const failure = status?.failure;
  if (!failure) return null;
  return (
    <Alert
      isInline
      variant="warning"
      title={`Version ${failure.version} failed and was undone; ${status.version} runs`}
    >
      {failure.reasons.length > 0
        ? failure.reasons.map((reason) => <p key={reason}>{reason}</p>)
        : "It stopped before its health checks could say why."}
    </Alert>
  );
}

export function NodeUpdates({ node }: { node: string }) {
  const { data: status, error, refetch } = useQuery(queries.updateStatus(node));
  if (error && !status)
    return <ErrorNote title="The slots cannot be read" error={error} onRetry={() => void refetch()} />;
  return (
    <>
      <FallBackNote node={node} />
      <WaitingNote status={status} />
      <Panel title="Slots" tools={<SlotTools node={node} status={status} />}>
        {status ? <Slots slots={status.slots} /> : <Skeleton height="6rem" screenreaderText="Loading" />}
      </Panel>
      <div className="columns">
        <SystemFacts node={node} status={status} />
        <SourceFacts node={node} slots={status?.slots} />
      </div>
    </>
  );
}

/** Says that a version is installed and has not been booted yet. */
function WaitingNote({ status }: { status: UpdateStatus | undefined }) {
  const waiting = status?.slots.find((slot) => !slot.running && slot.state === "trial");
  if (!waiting) return null;
  return (
    <Alert isInline variant="info" title={`Version ${waiting.version ?? ""} starts with the next reboot`}>
      It stays when it is healthy. Otherwise {status?.version} comes back by itself.
    </Alert>
  );
}

/** What runs, and whether this machine could do without one of its disks. */
function SystemFacts({ node, status }: { node: string; status: UpdateStatus | undefined }) {
  const { data: host } = useQuery(queries.nodeStatus(node));
  const running = status?.slots.find((slot) => slot.running);
  const mirror = host?.mirror;
  return (
    <Panel title="This system">
      <Facts
        loading={!status || !host}
        facts={{
          Version: status?.version,
          Health: running && <StateLabel slot={running} />,
          "Secure boot": host?.["boot-info"].secureboot ? "on" : "off",
          "System disks": mirror ? (
            <Label status={mirror.whole ? "success" : "warning"} variant="outline" isCompact>
              {`mirror ${mirror.text}`}
            </Label>
          ) : (
            "one"
          ),
        }}
      />
    </Panel>
  );
}

function useBecause(): string | undefined {
  const may = useMay();
  return may("nodes", "Sys.Modify") ? undefined : "your account lacks the privilege Sys.Modify";
}

function SlotTools({ node, status }: { node: string; status: UpdateStatus | undefined }) {
  const because = useBecause();
  const client = useQueryClient();
  const other = status?.slots.find((slot) => !slot.running);
  const usable = other?.state === "good" || other?.state === "trial";
  const nothing = usable ? undefined : "the other slot holds nothing that works";

  async function rollBack(): Promise<void> {
    await api.post("/nodes/{node}/update/rollback", { node, reboot: 1 });
    await client.invalidateQueries({ queryKey: ["node", node] });
  }
  return (
    <>
      <ActionButton
        variant="secondary"
        disabledBecause={because ?? nothing}
        onClick={() =>
          openDialog({
            kind: "confirm",
            title: `Boot version ${other?.version ?? ""}?`,
            body: "Guests are shut down and the node reboots into the other slot at once.",
            verb: "Reboot",
            danger: true,
            run: rollBack,
          })
        }
      >
        Boot the other slot
      </ActionButton>
      <ActionButton
        variant="primary"
        disabledBecause={because}
        onClick={() => openDialog({ kind: "update", node })}
      >
        Install an update
      </ActionButton>
    </>
  );
}

function stateOf(slot: UpdateSlot): { text: string; status?: "success" | "danger" | "info" } {
  switch (slot.state) {
    case "empty":
      return { text: "empty" };
    case "good":
      return { text: "has proved itself", status: "success" };
    case "failed":
      return { text: "failed and was left", status: "danger" };
    case "trial":
      return { text: `on trial, ${slot["tries-left"] ?? 0} boots left`, status: "info" };
  }
}

function StateLabel({ slot }: { slot: UpdateSlot }) {
  const { text, status } = stateOf(slot);
  return (
    <Label {...(status ? { status } : {})} variant="outline" isCompact>
      {text}
    </Label>
  );
}

function Slots({ slots }: { slots: UpdateSlot[] }) {
  return (
    <Table aria-label="Slots" variant="compact" gridBreakPoint="grid-md">
      <Thead>
        <Tr>
          <Th>Slot</Th>
          <Th>Version</Th>
          <Th>State</Th>
        </Tr>
      </Thead>
      <Tbody>
        {slots.map((slot) => (
          <Tr key={slot.slot}>
            <Td dataLabel="Slot">{slot.slot.toUpperCase()}</Td>
            <Td dataLabel="Version">{slot.version ?? "–"}</Td>
            <Td dataLabel="State">
              <StateLabel slot={slot} />
              {slot.running ? " running" : ""}
            </Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}

function SourceFacts({ node, slots }: { node: string; slots: UpdateSlot[] | undefined }) {
  const because = useBecause();
  const { data: config } = useQuery(queries.updateConfig(node));
  const { data: available, error } = useQuery({
    ...queries.updateAvailable(node),
    enabled: Boolean(config?.url),
  });
  const client = useQueryClient();

  async function install(): Promise<void> {
    const upid = await api.post("/nodes/{node}/update/install", { node });
    taskWatch.track(upid, `Install version ${available?.version ?? ""}`);
    await client.invalidateQueries({ queryKey: ["tasks"] });
  }
  const newer = available?.newer ? available.version : undefined;
  const slot = slots?.find((other) => other.version === newer);
  const here = slot?.state === "trial" || slot?.state === "good";
  const standing = slot?.state === "failed" ? "was tried and failed" : here ? "is installed" : "is available";
  const news = newer ? `version ${newer} ${standing}` : "this node is up to date";
  return (
    <Panel
      title="Channel"
      tools={
        <>
          <ActionButton
            variant="secondary"
            disabledBecause={because}
            onClick={() => openDialog({ kind: "update-source", node })}
          >
            Change
          </ActionButton>
          {newer && !here && (
            <ActionButton
              variant="primary"
              disabledBecause={because}
              onClick={() =>
                openDialog({
                  kind: "confirm",
                  title: `Install version ${newer}?`,
                  body: "It goes to the slot that does not run, and is tried with the next reboot.",
                  verb: "Install",
                  run: install,
                })
              }
            >
              {`Install ${newer}`}
            </ActionButton>
          )}
        </>
      }
    >
      {error && <ErrorNote title="The channel cannot be asked" error={error} />}
      <Facts
        loading={!config}
        facts={{
          "Updates from": config?.url ?? "nowhere yet",
          Channel: config?.channel,
          "Latest version": available?.version,
          Update: available && news,
          Authority: config?.ca && "one of your own is trusted, too",
        }}
      />
    </Panel>
  );
}
