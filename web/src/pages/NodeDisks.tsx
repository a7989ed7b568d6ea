/** The disks of a node, how they are, and what they are part of. */
import HeartbeatIcon from "@patternfly/react-icons/dist/esm/icons/heartbeat-icon";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { queries } from "../api/queries";
import type { DiskInfo } from "../api/schema";
import { HealthLabel, LifeLeft } from "../components/DiskLabels";
import { Loaded } from "../components/Loaded";
import { Panel } from "../components/Panel";
import { RowAction } from "../components/RowAction";
import { openDialog } from "../dialogs/store";
import { bytes } from "../model/format";
import { ThinPools, VolumeGroups, ZfsPools } from "./NodeDiskPools";

export function NodeDisks({ node }: { node: string }) {
  const query = useQuery(queries.disks(node));
  return (
    <>
      <Panel title="Disks">
        <Loaded what="disks" query={query}>
          {(disks) =>
            disks.length === 0 ? (
              <p className="quiet pad">This node has no disk.</p>
            ) : (
              <Disks node={node} disks={disks} />
            )
          }
        </Loaded>
      </Panel>
      <VolumeGroups node={node} />
      <ThinPools node={node} />
      <ZfsPools node={node} />
    </>
  );
}

function Disks({ node, disks }: { node: string; disks: readonly DiskInfo[] }) {
  return (
    <Table aria-label="Disks" variant="compact" gridBreakPoint="grid-lg">
      <Thead>
        <Tr>
          <Th>Device</Th>
          <Th>Type</Th>
          <Th>Model</Th>
          <Th>Serial</Th>
          <Th>Size</Th>
          <Th>Usage</Th>
          <Th>Health</Th>
          <Th>Life left</Th>
          <Th screenReaderText="Actions" />
        </Tr>
      </Thead>
      <Tbody>
        {disks.map((disk) => (
          <Row key={disk.devpath} node={node} disk={disk} />
        ))}
      </Tbody>
    </Table>
  );
}

function Row({ node, disk }: { node: string; disk: DiskInfo }) {
  return (
    <Tr>
      <Td dataLabel="Device" modifier="nowrap">
        {disk.devpath}
      </Td>
      <Td dataLabel="Type">{TYPES[disk.type] ?? disk.type}</Td>
      <Td dataLabel="Model" modifier="breakWord">
        {modelOf(disk) || "–"}
      </Td>
      <Td dataLabel="Serial" modifier="breakWord">
        {disk.serial || "–"}
      </Td>
      <Td dataLabel="Size" modifier="nowrap">
        {bytes(disk.size)}
      </Td>
      <Td dataLabel="Usage">
        {disk.used ?? "unused"}
        {disk.mounted && disk.used !== "mounted" ? <span className="quiet"> (mounted)</span> : null}
      </Td>
      <Td dataLabel="Health">
        <HealthLabel health={disk.health} />
      </Td>
      <Td dataLabel="Life left">
        <LifeLeft disk={disk.devpath} wearout={disk.wearout} />
      </Td>
      <Td isActionCell>
        <RowAction
          label={`SMART values of ${disk.devpath}`}
          icon={<HeartbeatIcon />}
          because={undefined}
          onClick={() => openDialog({ kind: "smart", node, disk: disk.devpath })}
        />
      </Td>
    </Tr>
  );
}

const TYPES: Readonly<Record<string, string>> = { ssd: "SSD", hdd: "HDD", nvme: "NVMe", usb: "USB" };

/** The model with its maker, unless the model says it already. */
function modelOf({ vendor = "", model = "" }: DiskInfo): string {
  // SATA disks all have this in the maker's place, and disks of virtual machines a number.
  if (vendor === "ATA" || vendor.startsWith("0x") || model.toLowerCase().startsWith(vendor.toLowerCase()))
    return model;
  return `${vendor} ${model}`.trim();
}
