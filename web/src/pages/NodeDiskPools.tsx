/** Groups and pools that a node's disks are part of; a kind that the node has none of is left out. */
import ListIcon from "@patternfly/react-icons/dist/esm/icons/list-icon";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { queries } from "../api/queries";
import { ZfsStateLabel } from "../components/DiskLabels";
import { ErrorNote } from "../components/ErrorNote";
import { Meter } from "../components/Meter";
import { Panel } from "../components/Panel";
import { RowAction } from "../components/RowAction";
import { openDialog } from "../dialogs/store";
import { bytes, percent, share } from "../model/format";

interface FoundProps<T> {
  title: string;
  /** What is read, as in "The thin pools cannot be read". */
  what: string;
  list: readonly T[] | undefined;
  query: { error: unknown; refetch: () => Promise<unknown> };
  children: (list: readonly T[]) => ReactNode;
}

/** A panel for what was found, or for why it cannot be read. Most nodes have none, so nothing stands there before. */
function Found<T>({ title, what, list, query: { error, refetch }, children }: FoundProps<T>) {
  if (list ? list.length === 0 : !error) return null;
  return (
    <Panel title={title}>
      {list ? (
        children(list)
      ) : (
        <ErrorNote title={`The ${what} cannot be read`} error={error} onRetry={() => void refetch()} />
      )}
    </Panel>
  );
}

function Fill({ used, size, label }: { used: number; size: number; label: string }) {
  return <Meter fraction={share(used, size)} text={`${bytes(used)} of ${bytes(size)}`} label={label} />;
}

export function VolumeGroups({ node }: { node: string }) {
  const query = useQuery(queries.volumeGroups(node));
  return (
    <Found title="Volume groups (LVM)" what="volume groups" list={query.data?.children} query={query}>
      {(groups) => (
        <Table aria-label="Volume groups" variant="compact" gridBreakPoint="grid-md">
          <Thead>
            <Tr>
              <Th>Group</Th>
              <Th>Devices</Th>
              <Th>Used</Th>
            </Tr>
          </Thead>
          <Tbody>
            {groups.map(({ name, size, free, children }) => (
              <Tr key={name}>
                <Td dataLabel="Group" modifier="breakWord">
                  {name}
                </Td>
                <Td dataLabel="Devices" modifier="breakWord">
                  {children.map((device) => device.name).join(", ") || "–"}
                </Td>
                <Td dataLabel="Used">
                  <Fill used={size - free} size={size} label={`Use of volume group ${name}`} />
                </Td>
              </Tr>
            ))}
          </Tbody>
        </Table>
      )}
    </Found>
  );
}

export function ThinPools({ node }: { node: string }) {
  const query = useQuery(queries.thinPools(node));
  return (
    <Found title="Thin pools" what="thin pools" list={query.data} query={query}>
      {(pools) => (
        <Table aria-label="Thin pools" variant="compact" gridBreakPoint="grid-md">
          <Thead>
            <Tr>
              <Th>Pool</Th>
              <Th>Group</Th>
              <Th>Data</Th>
              <Th>Metadata</Th>
            </Tr>
          </Thead>
          <Tbody>
            {pools.map((pool) => (
              <Tr key={`${pool.vg}/${pool.lv}`}>
                <Td dataLabel="Pool" modifier="breakWord">
                  {pool.lv}
                </Td>
                <Td dataLabel="Group" modifier="breakWord">
                  {pool.vg}
                </Td>
                <Td dataLabel="Data">
                  <Fill
                    used={pool.used}
                    size={pool.lv_size}
                    label={`Data of thin pool ${pool.vg}/${pool.lv}`}
                  />
                </Td>
                <Td dataLabel="Metadata">
                  <Fill
                    used={pool.metadata_used}
                    size={pool.metadata_size}
                    label={`Metadata of thin pool ${pool.vg}/${pool.lv}`}
                  />
                </Td>
              </Tr>
            ))}
          </Tbody>
        </Table>
      )}
    </Found>
  );
}

export function ZfsPools({ node }: { node: string }) {
  const query = useQuery(queries.zfsPools(node));
  return (
    <Found title="ZFS pools" what="ZFS pools" list={query.data} query={query}>
      {(pools) => (
        <Table aria-label="ZFS pools" variant="compact" gridBreakPoint="grid-md">
          <Thead>
            <Tr>
              <Th>Pool</Th>
              <Th>Health</Th>
              <Th>Used</Th>
              <Th>Fragmentation</Th>
              <Th>Deduplication</Th>
              <Th screenReaderText="Actions" />
            </Tr>
          </Thead>
          <Tbody>
            {pools.map(({ name, health, alloc, size, frag, dedup }) => (
              <Tr key={name}>
                <Td dataLabel="Pool" modifier="breakWord">
                  {name}
                </Td>
                <Td dataLabel="Health">
                  <ZfsStateLabel state={health} />
                </Td>
                <Td dataLabel="Used">
                  <Fill used={alloc} size={size} label={`Use of ZFS pool ${name}`} />
                </Td>
                <Td dataLabel="Fragmentation">{percent(frag / 100)}</Td>
                <Td dataLabel="Deduplication">{`${dedup.toFixed(2)}x`}</Td>
                <Td isActionCell>
                  <RowAction
                    label={`Details of ${name}`}
                    icon={<ListIcon />}
                    because={undefined}
                    onClick={() => openDialog({ kind: "zfs-pool", node, name })}
                  />
                </Td>
              </Tr>
            ))}
          </Tbody>
        </Table>
      )}
    </Found>
  );
}
