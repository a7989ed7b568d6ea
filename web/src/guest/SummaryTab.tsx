import { Skeleton } from "@patternfly/react-core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { guestSource, queries, useInventory } from "../api/queries";
import type { GuestConfig, GuestStatus } from "../api/types";
import { ErrorNote } from "../components/ErrorNote";
import { Facts } from "../components/Facts";
import { LoadGraphs } from "../components/LoadGraphs";
import { Meter } from "../components/Meter";
import { Panel } from "../components/Panel";
import { Graphs } from "../components/RecordedGraphs";
import { StatusText } from "../components/StatusIcon";
import { TaskTable } from "../components/TaskTable";
import { bytes, duration, share } from "../model/format";
import { guestPath, type GuestRef } from "../model/guest";
import { poolPage } from "../model/pools";
import { parseProps } from "../model/propstring";
import { guestRrd } from "../model/rrd";
import { isConsoleTask } from "../model/upid";
import { AgentPanel } from "./AgentPanel";

/** How the guest is doing: load, facts, notes. */
export function SummaryTab({ at, status }: { at: GuestRef; status: GuestStatus | undefined }) {
  const { data: config } = useQuery(queries.guestConfig(at));
  const { inventory } = useInventory();
  const pool = inventory?.guests.find(({ vmid }) => vmid === at.vmid)?.resource.pool;
  const running = status?.status === "running";
  const description = config?.description;
  return (
    <>
      {status && (
        <Graphs
          key={running ? "running" : "stopped"}
          of={guestRrd(at)}
          live={running && <LoadGraphs source={guestSource(at)} cpus={status.cpus} memory={status.maxmem} />}
        />
      )}
      <div className="columns">
        <Panel title="Guest">
          <Facts
            loading={!status}
            facts={{
              Status: <StatusText status={status?.status} finer={status?.qmpstatus} />,
              Uptime: running ? duration(status.uptime) : undefined,
              Cores: status?.cpus ?? config?.cores,
              Memory: running ? (
                <Meter
                  fraction={share(status.mem, status.maxmem)}
                  text={`${bytes(status.mem)} of ${bytes(status.maxmem)}`}
                  label="Memory"
                />
              ) : (
                bytes(status?.maxmem)
              ),
              Disk: status?.maxdisk ? bytes(status.maxdisk) : undefined,
              Pool: pool && <Link to={poolPage(pool)}>{pool}</Link>,
              Network: config && networkLine(config),
              "Starts with the host": config && (config.onboot ? "yes" : "no"),
            }}
          />
        </Panel>
        {running && at.type === "qemu" && config && <AgentPanel at={at} config={config} />}
        <Panel title="Notes">
          {description ? (
            <p className="notes">{String(description)}</p>
          ) : (
            <p className="quiet">
              None yet. <Link to={guestPath(at, "options")}>Write down</Link> what this guest is for.
            </p>
          )}
        </Panel>
      </div>
    </>
  );
}

/** The cards in short: bridge and address. */
function networkLine(config: GuestConfig): string {
  return Object.keys(config)
    .filter((key) => /^net\d+$/.test(key))
    .sort()
    .map((key) => {
      const { props } = parseProps(String(config[key]));
      const mac = props["virtio"] ?? props["hwaddr"] ?? props["macaddr"];
      return [key, props["bridge"], props["ip"], mac].filter(Boolean).join(" · ");
    })
    .join("; ");
}

/** What was done to this guest. */
export function GuestTasks({ at }: { at: GuestRef }) {
  const { data, error } = useQuery(queries.guestTasks(at));
  const tasks = data?.filter((task) => !isConsoleTask(task));
  if (error && !tasks) return <ErrorNote title="The tasks cannot be read" error={error} />;
  return (
    <Panel title="Task history">
      {!tasks && <Skeleton height="8rem" screenreaderText="Loading tasks" />}
      {tasks?.length === 0 && <p className="quiet pad">Nothing has been done to this guest yet.</p>}
      {tasks && tasks.length > 0 && <TaskTable tasks={tasks} label="Tasks of this guest" />}
    </Panel>
  );
}
