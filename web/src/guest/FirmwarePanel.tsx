/** The firmware's variables and the trusted platform module of a virtual machine. */
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQueryClient } from "@tanstack/react-query";
import { api } from "../api/client";
import { useMay } from "../api/session";
import type { GuestConfig } from "../api/types";
import { ActionButton } from "../components/ActionButton";
import { Panel } from "../components/Panel";
import { openDialog, type StateDisk } from "../dialogs/store";
import type { GuestRef } from "../model/guest";
import { parseProps } from "../model/propstring";

interface FirmwarePanelProps {
  at: GuestRef;
  config: GuestConfig;
  running: boolean;
}

interface Row {
  key: StateDisk;
  name: string;
  absent: string;
  lost: string;
}

const ROWS: readonly Row[] = [
  {
    key: "efidisk0",
    name: "UEFI variables",
    absent: "None: what the firmware is told is lost when the machine is switched off.",
    lost: "The firmware forgets its boot entries and, if the machine has Secure Boot, its keys.",
  },
  {
    key: "tpmstate0",
    name: "TPM",
    absent: "None: the guest has no trusted platform module.",
    lost: "Everything that the guest sealed with it, such as the keys of encrypted disks, is lost.",
  },
];

export function FirmwarePanel({ at, config, running }: FirmwarePanelProps) {
  return (
    <Panel title="Firmware and TPM">
      <Table aria-label="Firmware and TPM" variant="compact" gridBreakPoint="grid-md">
        <Thead>
          <Tr>
            <Th width={20}>Device</Th>
            <Th>Volume</Th>
            <Th screenReaderText="Actions" />
          </Tr>
        </Thead>
        <Tbody>
          {ROWS.map((row) => (
            <DiskRow key={row.key} row={row} at={at} value={config[row.key]} running={running} />
          ))}
        </Tbody>
      </Table>
    </Panel>
  );
}

interface DiskRowProps {
  row: Row;
  at: GuestRef;
  value: string | number | undefined;
  running: boolean;
}

function DiskRow({ row, at, value, running }: DiskRowProps) {
  const may = useMay();
  const client = useQueryClient();
  const right = may("vms", "VM.Config.Disk") ? undefined : "your account lacks the privilege VM.Config.Disk";
  const because = right ?? (running ? "the machine runs: shut it down first" : undefined);
  const { value: volume, props } = parseProps(String(value ?? ""));
  const secure = props["pre-enrolled-keys"] === "1" ? "with Secure Boot" : undefined;

  async function remove(): Promise<void> {
    await api.put("/nodes/{node}/qemu/{vmid}/config", { node: at.node, vmid: at.vmid, delete: row.key });
    await client.invalidateQueries({ queryKey: ["guest", at.type, at.vmid] });
  }
  return (
    <Tr>
      <Td dataLabel="Device">{row.name}</Td>
      <Td dataLabel="Volume" modifier="breakWord">
        {value === undefined ? (
          <span className="quiet">{row.absent}</span>
        ) : (
          <>
            <code>{props["file"] ?? volume}</code> {secure}
          </>
        )}
      </Td>
      <Td isActionCell>
        {value === undefined ? (
          <ActionButton
            size="sm"
            variant="secondary"
            aria-label={`Add ${row.name}`}
            disabledBecause={because}
            onClick={() => openDialog({ kind: "state-disk", at, disk: row.key })}
          >
            Add
          </ActionButton>
        ) : (
          <ActionButton
            size="sm"
            variant="secondary"
            isDanger
            aria-label={`Remove ${row.name}`}
            disabledBecause={because}
            onClick={() =>
              openDialog({
                kind: "confirm",
                title: `Remove ${row.name}?`,
                body: row.lost,
                verb: "Remove",
                danger: true,
                run: remove,
              })
            }
          >
            Remove
          </ActionButton>
        )}
      </Td>
    </Tr>
  );
}
