/** A pool's page: what is in it. */
import TrashIcon from "@patternfly/react-icons/dist/esm/icons/trash-icon";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useParams } from "react-router";
import { api } from "../../api/client";
import { queries } from "../../api/queries";
import type { PoolEntry } from "../../api/schema";
import type { Resource } from "../../api/types";
import { ActionButton } from "../../components/ActionButton";
import { Loaded } from "../../components/Loaded";
import { PageHead } from "../../components/PageHead";
import { Panel } from "../../components/Panel";
import { RowAction } from "../../components/RowAction";
import { KindIcon, StatusText } from "../../components/StatusIcon";
import { usePageTitle } from "../../components/usePageTitle";
import { usePermissions, useWhyNotOn } from "../../components/usePermissions";
import { openDialog } from "../../dialogs/store";
import { mayGive } from "../../model/access";
import { asGuest, guestPath, shortName } from "../../model/guest";
import { mayNest, parentPool, poolPage, poolPath } from "../../model/pools";
import { useRemoval } from "../access/removal";
import NotFoundPage from "../NotFoundPage";
import { PoolTable } from "./Pools";

export default function PoolPage() {
  const poolid = useParams()["*"] ?? "";
  const query = useQuery(queries.pool(poolid));
  usePageTitle(poolid, "Pool");
  const { data: pools } = useQuery(queries.pools());
  if (pools && !pools.some((pool) => pool.poolid === poolid)) return <NotFoundPage what="pool" />;
  return (
    <>
      <Head poolid={poolid} pool={query.data} />
      <div className="page-body stack">
        <Loaded what="members" query={query}>
          {({ members = [] }) => (
            <>
              <Guests poolid={poolid} members={members} />
              <Storages poolid={poolid} members={members} />
              <Inside poolid={poolid} />
            </>
          )}
        </Loaded>
      </div>
    </>
  );
}

function Head({ poolid, pool }: { poolid: string; pool: PoolEntry | undefined }) {
  const because = useWhyNotOn()(poolPath(poolid), "Pool.Allocate");
  const parent = parentPool(poolid);
  return (
    <PageHead
      icon={<KindIcon kind="pool" />}
      title={poolid}
      facts={
        <>
          {parent === undefined ? (
            <span>
              Pool of the <Link to="/datacenter/pools">datacenter</Link>
            </span>
          ) : (
            <span>
              Pool in <Link to={poolPage(parent)}>{parent}</Link>
            </span>
          )}
          {pool?.comment && <span>{pool.comment}</span>}
        </>
      }
      actions={
        pool && (
          <>
            <Giving poolid={poolid} />
            <ActionButton
              size="sm"
              variant="secondary"
              disabledBecause={because}
              onClick={() => openDialog({ kind: "pool", pool: { ...pool, poolid } })}
            >
              Edit
            </ActionButton>
          </>
        )
      }
    />
  );
}

/** A way to give somebody a role on the pool. */
function Giving({ poolid }: { poolid: string }) {
  const own = usePermissions();
  const path = poolPath(poolid);
  return (
    <ActionButton
      size="sm"
      variant="secondary"
      disabledBecause={
        !own || mayGive(own, path)
          ? undefined
          : `your account lacks the privilege Permissions.Modify on ${path}`
      }
      onClick={() => openDialog({ kind: "acl", path })}
    >
      Give a role
    </ActionButton>
  );
}

interface MembersProps {
  poolid: string;
  members: readonly Resource[];
}

/** Takes a guest or a storage out of the pool, after asking. */
function useTakeOut(poolid: string) {
  const remove = useRemoval();
  const client = useQueryClient();
  return (what: string, member: { vms: string } | { storage: string }) =>
    remove({
      title: `Take ${what} out of ${poolid}?`,
      body: "It stays as it is, but who has a role on the pool has it no longer on this.",
      verb: "Take out",
      run: async () => {
        await api.put("/pools", { poolid, ...member, delete: 1 });
        void client.invalidateQueries({ queryKey: ["resources"] });
      },
    });
}

function Guests({ poolid, members }: MembersProps) {
  const because = useWhyNotOn()(poolPath(poolid), "Pool.Allocate");
  const takeOut = useTakeOut(poolid);
  const guests = members.map(asGuest).filter((guest) => guest !== undefined);
  const tools = (
    <ActionButton
      size="sm"
      variant="secondary"
      disabledBecause={because}
      onClick={() => openDialog({ kind: "pool-members", poolid, what: "guests", members })}
    >
      Add guests
    </ActionButton>
  );
  return (
    <Panel title="Guests" tools={tools}>
      {guests.length === 0 ? (
        <p className="quiet pad">No guest is in this pool.</p>
      ) : (
        <Table aria-label="Guests of the pool" variant="compact" gridBreakPoint="grid-md">
          <Thead>
            <Tr>
              <Th>Guest</Th>
              <Th>Name</Th>
              <Th>Status</Th>
              <Th screenReaderText="Actions" />
            </Tr>
          </Thead>
          <Tbody>
            {guests.map((guest) => (
              <Tr key={guest.vmid}>
                <Td dataLabel="Guest" modifier="nowrap">
                  <Link to={guestPath(guest)}>{shortName(guest)}</Link>
                </Td>
                <Td dataLabel="Name" modifier="breakWord">
                  {guest.name}
                </Td>
                <Td dataLabel="Status">
                  <StatusText status={guest.status} />
                </Td>
                <Td isActionCell>
                  <RowAction
                    label={`Take ${shortName(guest)} out`}
                    icon={<TrashIcon />}
                    because={because}
                    onClick={() => takeOut(shortName(guest), { vms: String(guest.vmid) })}
                  />
                </Td>
              </Tr>
            ))}
          </Tbody>
        </Table>
      )}
    </Panel>
  );
}

function Storages({ poolid, members }: MembersProps) {
  const because = useWhyNotOn()(poolPath(poolid), "Pool.Allocate");
  const takeOut = useTakeOut(poolid);
  const storages = members.filter(({ type }) => type === "storage");
  const tools = (
    <ActionButton
      size="sm"
      variant="secondary"
      disabledBecause={because}
      onClick={() => openDialog({ kind: "pool-members", poolid, what: "storages", members })}
    >
      Add storages
    </ActionButton>
  );
  return (
    <Panel title="Storages" tools={tools}>
      {storages.length === 0 ? (
        <p className="quiet pad">No storage is in this pool.</p>
      ) : (
        <Table aria-label="Storages of the pool" variant="compact" gridBreakPoint="grid-md">
          <Thead>
            <Tr>
              <Th>Storage</Th>
              <Th>Node</Th>
              <Th screenReaderText="Actions" />
            </Tr>
          </Thead>
          <Tbody>
            {storages.map(({ id, storage = "", node = "" }) => (
              <Tr key={id}>
                <Td dataLabel="Storage">
                  <Link to={`/nodes/${node}/storage/${storage}`}>{storage}</Link>
                </Td>
                <Td dataLabel="Node">{node}</Td>
                <Td isActionCell>
                  <RowAction
                    label={`Take ${storage} out`}
                    icon={<TrashIcon />}
                    because={because}
                    onClick={() => takeOut(storage, { storage })}
                  />
                </Td>
              </Tr>
            ))}
          </Tbody>
        </Table>
      )}
    </Panel>
  );
}

/** Pools that lie in this one. */
function Inside({ poolid }: { poolid: string }) {
  const because = useWhyNotOn()(poolPath(poolid), "Pool.Allocate");
  const query = useQuery(queries.pools());
  if (!mayNest(poolid)) return null;
  const tools = (
    <ActionButton
      size="sm"
      variant="secondary"
      disabledBecause={because}
      onClick={() => openDialog({ kind: "pool", parent: poolid })}
    >
      Add a pool here
    </ActionButton>
  );
  return (
    <Panel title="Pools in it" tools={tools}>
      <Loaded what="pools" query={query}>
        {(pools) => {
          const inside = pools.filter((pool) => parentPool(pool.poolid) === poolid);
          return inside.length === 0 ? (
            <p className="quiet pad">No pool lies in this one.</p>
          ) : (
            <PoolTable pools={inside} label="Pools in it" />
          );
        }}
      </Loaded>
    </Panel>
  );
}
