import { Skeleton } from "@patternfly/react-core";
import type { ComponentType } from "react";
import { Link, useParams } from "react-router";
import { useInventory } from "../api/queries";
import type { Resource } from "../api/types";
import { CreateButtons } from "../components/CreateButtons";
import { GuestTable } from "../components/GuestTable";
import { Meter } from "../components/Meter";
import { PageHead } from "../components/PageHead";
import { PageTabs, TAB_PANEL } from "../components/PageTabs";
import { Panel } from "../components/Panel";
import { KindIcon, StatusText } from "../components/StatusIcon";
import { usePageTitle } from "../components/usePageTitle";
import { bytes, duration, share } from "../model/format";
import { Acl } from "./access/Acl";
import { Groups } from "./access/Groups";
import { Roles } from "./access/Roles";
import { Tokens } from "./access/Tokens";
import { Users } from "./access/Users";
import { AllFactors } from "./AllFactors";
import { AuditLog } from "./AuditLog";
import NotFoundPage from "./NotFoundPage";
import { Notifications } from "./Notifications";
import { Pools } from "./pools/Pools";
import { Realms } from "./Realms";

const TABS: readonly { key: string; title: string; Body: ComponentType }[] = [
  { key: "summary", title: "Summary", Body: Summary },
  { key: "users", title: "Users", Body: Users },
  { key: "groups", title: "Groups", Body: Groups },
  { key: "tokens", title: "API tokens", Body: Tokens },
  { key: "pools", title: "Pools", Body: Pools },
  { key: "roles", title: "Roles", Body: Roles },
  { key: "permissions", title: "Permissions", Body: Acl },
  { key: "realms", title: "Realms", Body: Realms },
  { key: "factors", title: "Second factors", Body: AllFactors },
  { key: "notifications", title: "Notifications", Body: Notifications },
  { key: "log", title: "Audit log", Body: AuditLog },
];

/** What belongs to no single node. */
export default function DatacenterPage() {
  usePageTitle("Datacenter");
  const { tab = "summary" } = useParams();
  const { inventory } = useInventory();
  const guests = inventory?.guests ?? [];
  const running = guests.filter((g) => g.status === "running").length;
  const shown = TABS.find((t) => t.key === tab);
  if (!shown) return <NotFoundPage />;
  return (
    <>
      <PageHead
        icon={<KindIcon kind="datacenter" />}
        title="Datacenter"
        facts={
          inventory &&
          `${count(inventory.nodes.length, "node")} · ${running} of ${count(guests.length, "guest")} running`
        }
        actions={
          <div className="narrow-only">
            <CreateButtons />
          </div>
        }
      />
      <PageTabs label="Datacenter" base="/datacenter" tabs={TABS} current={tab} />
      <div className="page-body stack" id={TAB_PANEL} role="tabpanel" aria-label={tab}>
        <shown.Body />
      </div>
    </>
  );
}

/** Everything at a glance: nodes with their load, then all guests. */
function Summary() {
  const { inventory } = useInventory();
  return (
    <>
      <div className="cards">
        {inventory
          ? inventory.nodes.map((node) => <NodeCard key={node.id} node={node} />)
          : [0].map((i) => <Skeleton key={i} height="9rem" screenreaderText="Loading nodes" />)}
      </div>
      {inventory ? (
        <GuestTable guests={inventory.guests} />
      ) : (
        <Skeleton height="12rem" screenreaderText="Loading guests" />
      )}
    </>
  );
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? "" : "s"}`;
}

function NodeCard({ node }: { node: Resource }) {
  const name = node.node ?? "";
  return (
    <Panel className="node-card">
      <div className="node-card-head">
        <KindIcon kind="node" status={node.status} />
        <Link to={`/nodes/${name}`}>{name}</Link>
        <span className="push quiet">
          {node.status === "online" ? `up ${duration(node.uptime)}` : <StatusText status={node.status} />}
        </span>
      </div>
      <dl className="meters">
        <dt>CPU</dt>
        <dd>
          <Meter fraction={node.cpu} label={`CPU of ${name}`} />
        </dd>
        <dt>Memory</dt>
        <dd>
          <Meter
            fraction={share(node.mem, node.maxmem)}
            text={`${bytes(node.mem)} of ${bytes(node.maxmem)}`}
            label={`Memory of ${name}`}
          />
        </dd>
        {node.maxdisk ? (
          <>
            <dt>Disk</dt>
            <dd>
              <Meter
                fraction={share(node.disk, node.maxdisk)}
                text={`${bytes(node.disk)} of ${bytes(node.maxdisk)}`}
                label={`Disk space of ${name}`}
              />
            </dd>
          </>
        ) : null}
      </dl>
    </Panel>
  );
}
