/** Pools: guests and storages that permissions are given on together. */
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { queries, useInventory } from "../../api/queries";
import type { PoolEntry } from "../../api/schema";
import { ActionButton } from "../../components/ActionButton";
import { Loaded } from "../../components/Loaded";
import { Panel } from "../../components/Panel";
import { usePermissions } from "../../components/usePermissions";
import { openDialog } from "../../dialogs/store";
import { holds } from "../../model/access";
import { poolPage } from "../../model/pools";
import { PoolActions } from "./PoolActions";

export function Pools() {
  const query = useQuery(queries.pools());
  const own = usePermissions();
  const because =
    !own || holds(own, "/pool", "Pool.Allocate")
      ? undefined
      : "your account lacks the privilege Pool.Allocate on /pool";
  const add = (
    <ActionButton disabledBecause={because} onClick={() => openDialog({ kind: "pool" })}>
      Add a pool
    </ActionButton>
  );
  return (
    <Panel title="Pools" tools={add}>
      <Loaded what="pools" query={query}>
        {(pools) =>
          pools.length === 0 ? (
            <p className="quiet pad">
              Who has a role on a pool has it on the guests and storages in it. There is none that you may
              see.
            </p>
          ) : (
            <PoolTable pools={pools} label="Pools" />
          )
        }
      </Loaded>
    </Panel>
  );
}

/** Pools by name: those in a pool follow it. */
export function PoolTable({ pools, label }: { pools: readonly PoolEntry[]; label: string }) {
  const { inventory } = useInventory();
  const guestsIn = (poolid: string) => inventory?.guests.filter((g) => g.resource.pool === poolid).length;
  return (
    <Table aria-label={label} variant="compact" gridBreakPoint="grid-md">
      <Thead>
        <Tr>
          <Th>Pool</Th>
          <Th>Guests</Th>
          <Th>Description</Th>
          <Th screenReaderText="Actions" />
        </Tr>
      </Thead>
      <Tbody>
        {pools.map((pool) => (
          <Tr key={pool.poolid}>
            <Td dataLabel="Pool" modifier="breakWord">
              <Link to={poolPage(pool.poolid)}>{pool.poolid}</Link>
            </Td>
            <Td dataLabel="Guests">{guestsIn(pool.poolid) ?? "–"}</Td>
            <Td dataLabel="Description" modifier="breakWord">
              {pool.comment || "–"}
            </Td>
            <Td isActionCell modifier="nowrap">
              <PoolActions pool={pool} />
            </Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}
