/** How a pool of ZFS is, and the devices that it is made of. */
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { queries } from "../api/queries";
import type { ZfsDevice } from "../api/schema";
import { ZfsStateLabel } from "../components/DiskLabels";
import { Facts } from "../components/Facts";
import { ViewDialog } from "../components/ViewDialog";

interface ZfsPoolDialogProps {
  node: string;
  /** Name of the pool. */
  name: string;
  onClose: () => void;
}

export default function ZfsPoolDialog({ node, name, onClose }: ZfsPoolDialogProps) {
  const query = useQuery(queries.zfsPool(node, name));
  return (
    <ViewDialog variant="large" title={`ZFS pool ${name}`} what="pool" query={query} onClose={onClose}>
      {(pool) => (
        <div className="stack">
          <Facts
            facts={{
              State: <ZfsStateLabel state={pool.state} />,
              Status: pool.status,
              Action: pool.action,
              Scan: pool.scan,
              Errors: pool.errors,
            }}
          />
          <Devices devices={pool.children} />
        </div>
      )}
    </ViewDialog>
  );
}

interface Placed {
  device: ZfsDevice;
  depth: number;
  /** Its name behind those of what it is part of. */
  path: string;
}

/** Devices, each followed by its parts. */
function flatten(devices: readonly ZfsDevice[], depth = 0, above = ""): Placed[] {
  return devices.flatMap((device) => {
    const path = `${above} ${device.name}`;
    return [{ device, depth, path }, ...flatten(device.children ?? [], depth + 1, path)];
  });
}

function Devices({ devices }: { devices: readonly ZfsDevice[] }) {
  return (
    <Table aria-label="Devices" variant="compact" gridBreakPoint="grid-md">
      <Thead>
        <Tr>
          <Th>Device</Th>
          <Th>State</Th>
          <Th>Read errors</Th>
          <Th>Write errors</Th>
          <Th>Checksum errors</Th>
          <Th>Remark</Th>
        </Tr>
      </Thead>
      <Tbody>
        {flatten(devices).map(({ device, depth, path }) => (
          <Tr key={path}>
            <Td dataLabel="Device" modifier="breakWord">
              <div style={{ paddingInlineStart: `${depth}rem` }}>{device.name}</div>
            </Td>
            <Td dataLabel="State">{device.state ? <ZfsStateLabel state={device.state} /> : "–"}</Td>
            <Td dataLabel="Read errors">{device.read ?? "–"}</Td>
            <Td dataLabel="Write errors">{device.write ?? "–"}</Td>
            <Td dataLabel="Checksum errors">{device.cksum ?? "–"}</Td>
            <Td dataLabel="Remark" modifier="breakWord">
              {device.msg || "–"}
            </Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}
