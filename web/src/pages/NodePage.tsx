import { Skeleton } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "react-router";
import { nodeSource, queries, useInventory } from "../api/queries";
import { CreateButtons } from "../components/CreateButtons";
import { ErrorNote } from "../components/ErrorNote";
import { Facts } from "../components/Facts";
import { GuestTable } from "../components/GuestTable";
import { LoadGraphs } from "../components/LoadGraphs";
import { Meter } from "../components/Meter";
import { PageHead } from "../components/PageHead";
import { PageTabs, TAB_PANEL } from "../components/PageTabs";
import { Panel } from "../components/Panel";
import { KindIcon, StatusText } from "../components/StatusIcon";
import { TaskTable } from "../components/TaskTable";
import { Graphs } from "../components/RecordedGraphs";
import { usePageTitle } from "../components/usePageTitle";
import { bytes, duration, share } from "../model/format";
import { nodeRrd } from "../model/rrd";
import { contentKinds, kindLabel } from "../model/volume";
import { NodeCertificates } from "./NodeCertificates";
import { NodeDisks } from "./NodeDisks";
import { NodeSystem } from "./NodeSystem";
import { FallBackNote, NodeUpdates } from "./NodeUpdates";
import NotFoundPage from "./NotFoundPage";

const TABS = [
  { key: "summary", title: "Summary" },
  { key: "system", title: "System" },
  { key: "disks", title: "Disks" },
  { key: "certificates", title: "Certificates" },
  { key: "updates", title: "Updates" },
  { key: "tasks", title: "Tasks" },
];

export default function NodePage() {
  const { node = "", tab = "summary" } = useParams();
  const { inventory } = useInventory();
  usePageTitle(node);
  const row = inventory?.nodes.find((n) => n.node === node);
  if ((inventory && !row) || !TABS.some((t) => t.key === tab)) return <NotFoundPage what="node" />;
  return (
    <>
      <PageHead
        icon={<KindIcon kind="node" status={row?.status} />}
        title={node}
        facts={
          row && (
            <>
              <StatusText status={row.status} />
              {row.uptime ? ` · up ${duration(row.uptime)}` : ""}
            </>
          )
        }
        actions={
          <div className="narrow-only">
            <CreateButtons node={node} />
          </div>
        }
      />
      <PageTabs label="Node" base={`/nodes/${node}`} tabs={TABS} current={tab} />
      <div className="page-body stack" id={TAB_PANEL} role="tabpanel" aria-label={tab}>
        {tab !== "updates" && <FallBackNote node={node} />}
        {tab === "tasks" ? (
          <NodeTasks node={node} />
        ) : tab === "system" ? (
          <NodeSystem node={node} />
        ) : tab === "disks" ? (
          <NodeDisks node={node} />
        ) : tab === "certificates" ? (
          <NodeCertificates node={node} />
        ) : tab === "updates" ? (
          <NodeUpdates node={node} />
        ) : (
          <Summary node={node} />
        )}
      </div>
    </>
  );
}

function Summary({ node }: { node: string }) {
  const { data: status, error, refetch } = useQuery(queries.nodeStatus(node));
  const { inventory } = useInventory();
  const guests = inventory?.guests.filter((g) => g.node === node);
  return (
    <>
      {error && !status && (
        <ErrorNote title="The node's status cannot be read" error={error} onRetry={() => void refetch()} />
      )}
      <Graphs
        of={nodeRrd(node)}
        live={
          <LoadGraphs source={nodeSource(node)} cpus={status?.cpuinfo?.cpus} memory={status?.memory?.total} />
        }
      />
      <div className="columns">
        <HostFacts node={node} />
        <Storages node={node} />
      </div>
      {guests ? <GuestTable guests={guests} node={node} /> : <Skeleton height="8rem" />}
    </>
  );
}

function HostFacts({ node }: { node: string }) {
  const { data: status } = useQuery(queries.nodeStatus(node));
  const kernel = status?.["current-kernel"];
  const boot = status?.["boot-info"];
  const root = status?.rootfs;
  return (
    <Panel title="Host">
      <Facts
        loading={!status}
        facts={{
          Version: status?.pveversion,
          Kernel: kernel?.release,
          Processor: status?.cpuinfo?.model,
          "Load average": status?.loadavg?.join("  "),
          Uptime: duration(status?.uptime),
          Boot:
            boot?.mode && `${boot.mode === "efi" ? "UEFI" : "BIOS"}${boot.secureboot ? ", secure boot" : ""}`,
          Swap: status?.swap?.total ? `${bytes(status.swap.used)} of ${bytes(status.swap.total)}` : undefined,
          "Data partition": root && (
            <Meter
              fraction={share(root.used, root.total)}
              text={`${bytes(root.used)} of ${bytes(root.total)}`}
              label="Data partition"
            />
          ),
        }}
      />
    </Panel>
  );
}

function Storages({ node }: { node: string }) {
  const { data: storages, error } = useQuery(queries.storages(node));
  return (
    <Panel title="Storage">
      {error && !storages && <ErrorNote title="The storages cannot be read" error={error} />}
      {!storages && !error && <Skeleton height="4rem" screenreaderText="Loading storages" />}
      {storages && (
        <Table aria-label="Storages" variant="compact" gridBreakPoint="grid-md" borders={false}>
          <Thead>
            <Tr>
              <Th>Name</Th>
              <Th>Used</Th>
              <Th>Content</Th>
            </Tr>
          </Thead>
          <Tbody>
            {storages.map((s) => (
              <Tr key={s.storage}>
                <Td dataLabel="Name" modifier="nowrap">
                  <span className="with-icon">
                    <KindIcon kind="storage" status={s.active === 0 ? "unavailable" : "available"} />
                    <Link to={`/nodes/${node}/storage/${s.storage}`}>{s.storage}</Link>
                  </span>
                </Td>
                <Td dataLabel="Used">
                  <Meter
                    fraction={share(s.used, s.total)}
                    text={`${bytes(s.used)} of ${bytes(s.total)}`}
                    label={`Use of storage ${s.storage}`}
                  />
                </Td>
                <Td dataLabel="Content" className="quiet">
                  {contentKinds(s.content).map(kindLabel).join(", ")}
                </Td>
              </Tr>
            ))}
          </Tbody>
        </Table>
      )}
    </Panel>
  );
}

function NodeTasks({ node }: { node: string }) {
  const { data: tasks, error } = useQuery(queries.nodeTasks(node));
  if (error && !tasks) return <ErrorNote title="The tasks cannot be read" error={error} />;
  return (
    <Panel title="Task history">
      {!tasks && <Skeleton height="8rem" screenreaderText="Loading tasks" />}
      {tasks?.length === 0 && <p className="quiet pad">This node has run no task yet.</p>}
      {tasks && tasks.length > 0 && <TaskTable tasks={tasks} label="Tasks of this node" />}
    </Panel>
  );
}
