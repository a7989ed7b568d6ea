/** A guest's page: its head with the actions, and its tabs. */
import {
  Button,
  EmptyState,
  EmptyStateActions,
  EmptyStateBody,
  EmptyStateFooter,
  Spinner,
} from "@patternfly/react-core";
import { useQuery } from "@tanstack/react-query";
import { useParams } from "react-router";
import { queries, useInventory } from "../api/queries";
import type { GuestStatus, Task } from "../api/types";
import { ActionButton } from "../components/ActionButton";
import { ErrorNote } from "../components/ErrorNote";
import { PageHead } from "../components/PageHead";
import { PageTabs, TAB_PANEL } from "../components/PageTabs";
import { KindIcon, StatusText } from "../components/StatusIcon";
import { usePageTitle } from "../components/usePageTitle";
import { duration } from "../model/format";
import {
  ACTION_NAMES,
  guestPath,
  kindName,
  shortName,
  standsStill,
  type Guest,
  type GuestRef,
} from "../model/guest";
import { taskOutcome, taskTitle } from "../model/upid";
import { openDialog } from "../dialogs/store";
import NotFoundPage from "../pages/NotFoundPage";
import { CloudInitTab } from "./CloudInitTab";
import { ConsoleTab } from "./ConsoleTab";
import { HardwareTab, OptionsTab } from "./ConfigTabs";
import { GuestTasks, SummaryTab } from "./SummaryTab";
import { useGuestActions } from "./useGuestActions";

type TabKey = "summary" | "console" | "hardware" | "resources" | "cloudinit" | "options" | "tasks";

function tabsOf(type: GuestRef["type"]): { key: TabKey; title: string }[] {
  return [
    { key: "summary", title: "Summary" },
    { key: "console", title: "Console" },
    type === "qemu" ? { key: "hardware", title: "Hardware" } : { key: "resources", title: "Resources" },
    ...(type === "qemu" ? [{ key: "cloudinit", title: "Cloud-init" } as const] : []),
    { key: "options", title: "Options" },
    { key: "tasks", title: "Tasks" },
  ];
}

/** The guest an address names, if it has the form of one. */
function useGuestRef(): GuestRef | undefined {
  const { node, type, vmid } = useParams();
  if (!node || (type !== "qemu" && type !== "lxc") || !/^\d+$/.test(vmid ?? "")) return undefined;
  return { node, type, vmid: Number(vmid) };
}

export default function GuestPage() {
  const ref = useGuestRef();
  return ref ? <KnownGuest key={`${ref.type}${ref.vmid}`} at={ref} /> : <NotFoundPage />;
}

/** The inventory's row, brought up to date by the guest's own status, which is polled more often. */
function merge(at: GuestRef, row: Guest | undefined, status: GuestStatus | undefined): Guest | undefined {
  if (!row && !status) return undefined;
  return {
    ...at,
    name: status?.name ?? row?.name ?? String(at.vmid),
    status: status?.status ?? row?.status ?? "unknown",
    lock: status ? status.lock : row?.lock,
    paused: status ? standsStill(status.qmpstatus) : undefined,
    resource: row?.resource ?? {
      id: `${at.type}/${at.vmid}`,
      type: at.type,
      node: at.node,
      status: "unknown",
    },
  };
}

function KnownGuest({ at }: { at: GuestRef }) {
  const tab = (useParams().tab ?? "summary") as TabKey;
  const { inventory } = useInventory();
  const { data: status, error } = useQuery(queries.guestStatus(at));
  const row = inventory?.guests.find((g) => g.type === at.type && g.vmid === at.vmid);
  const guest = merge(at, row, status);
  usePageTitle(guest?.name ?? shortName(at), shortName(at));
  const tabs = tabsOf(at.type);
  const busy = useTaskOn(at);
  if (inventory && !row && error) {
    return busy ? <BeingMade at={at} task={busy} /> : <NotFoundPage what={kindName(at.type).toLowerCase()} />;
  }
  if (!tabs.some((t) => t.key === tab)) return <NotFoundPage />;
  return (
    <>
      <PageHead
        icon={<KindIcon kind={at.type} status={status?.qmpstatus ?? guest?.status} />}
        title={guest ? `${guest.name}` : shortName(at)}
        facts={
          <>
            <span>
              {shortName(at)} on {at.node}
            </span>
            {guest?.lock ? (
              <StatusText status={`locked (${guest.lock})`} />
            ) : (
              <StatusText status={guest?.status} finer={status?.qmpstatus} />
            )}
            {guest?.status === "running" && status?.uptime !== undefined && (
              <span>up {duration(status.uptime)}</span>
            )}
          </>
        }
        actions={guest && <GuestButtons guest={guest} />}
      />
      <PageTabs label="Guest" base={guestPath(at)} tabs={tabs} current={tab} />
      <div
        className={`page-body stack ${tab === "console" ? "page-body-fill" : ""}`}
        id={TAB_PANEL}
        role="tabpanel"
        aria-label={tab}
      >
        {error && !status && <ErrorNote title="The status cannot be read" error={error} />}
        <TabBody tab={tab} at={at} guest={guest} status={status} />
      </div>
    </>
  );
}

/** A running task on the guest, such as the one that makes it. */
function useTaskOn(at: GuestRef): Task | undefined {
  const { data: tasks } = useQuery(queries.tasks());
  return tasks?.find((task) => task.id === String(at.vmid) && taskOutcome(task) === "running");
}

/** Stands in for the page of a guest that is not there yet. */
function BeingMade({ at, task }: { at: GuestRef; task: Task }) {
  return (
    <EmptyState titleText={`${shortName(at)} is not ready yet`} headingLevel="h1" icon={Spinner}>
      <EmptyStateBody>{taskTitle(task)} is under way. The page appears when the guest exists.</EmptyStateBody>
      <EmptyStateFooter>
        <EmptyStateActions>
          <Button variant="link" onClick={() => openDialog({ kind: "task", task })}>
            Show log
          </Button>
        </EmptyStateActions>
      </EmptyStateFooter>
    </EmptyState>
  );
}

interface TabBodyProps {
  tab: TabKey;
  at: GuestRef;
  guest: Guest | undefined;
  status: GuestStatus | undefined;
}

function TabBody({ tab, at, guest, status }: TabBodyProps) {
  switch (tab) {
    case "summary":
      return <SummaryTab at={at} status={status} />;
    case "console":
      return <ConsoleTab at={at} guest={guest} />;
    case "hardware":
    case "resources":
      return <HardwareTab at={at} running={guest?.status === "running"} />;
    case "cloudinit":
      return <CloudInitTab at={at} running={guest?.status === "running"} />;
    case "options":
      return <OptionsTab at={at} running={guest?.status === "running"} />;
    case "tasks":
      return <GuestTasks at={at} />;
  }
}

const BUTTONS = ["start", "shutdown", "reboot", "stop", "delete"] as const;

function GuestButtons({ guest }: { guest: Guest }) {
  const { act, whyNot } = useGuestActions();
  return BUTTONS.map((action) => (
    <ActionButton
      key={action}
      size="sm"
      variant={action === "start" ? "primary" : "secondary"}
      isDanger={action === "delete"}
      disabledBecause={whyNot(guest, action)}
      onClick={() => act(guest, action)}
    >
      {ACTION_NAMES[action]}
    </ActionButton>
  ));
}
