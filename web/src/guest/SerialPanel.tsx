/** The serial ports of a virtual machine: which there are, and how others come and go. */
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useMay } from "../api/session";
import type { GuestConfig } from "../api/types";
import { ActionButton } from "../components/ActionButton";
import { ErrorNote } from "../components/ErrorNote";
import { Panel } from "../components/Panel";
import type { GuestRef } from "../model/guest";
import { namesInGuest, SERIAL_PORTS, serialPorts } from "../model/serial";
import { useSave } from "./useSave";

interface SerialPanelProps {
  at: GuestRef;
  config: GuestConfig;
  running: boolean;
}

export function SerialPanel({ at, config, running }: SerialPanelProps) {
  const may = useMay();
  const save = useSave(at);
  const right = may("vms", "VM.Config.HWType")
    ? undefined
    : "your account lacks the privilege VM.Config.HWType";
  const because = right ?? (save.isPending ? "a change is under way" : undefined);
  const there = serialPorts(config);
  return (
    <Panel title="Serial ports">
      {save.error && <ErrorNote title="The change was not saved" error={save.error} />}
      <Table aria-label="Serial ports" variant="compact" gridBreakPoint="grid-md">
        <Thead>
          <Tr>
            <Th width={20}>Port</Th>
            <Th width={20}>In the guest</Th>
            <Th>Leads to</Th>
            <Th screenReaderText="Actions" />
          </Tr>
        </Thead>
        <Tbody>
          {SERIAL_PORTS.map((port, index) => (
            <Tr key={port}>
              <Td dataLabel="Port">{port}</Td>
              <Td dataLabel="In the guest">{namesInGuest(port)}</Td>
              <Td dataLabel="Leads to">
                {there.includes(port) ? (
                  `A console${index === 0 ? ", always there" : ""}`
                ) : (
                  <span className="quiet">None: the guest has no such port.</span>
                )}
              </Td>
              <Td isActionCell>
                {index > 0 && !there.includes(port) && (
                  <ActionButton
                    size="sm"
                    variant="secondary"
                    aria-label={`Add ${port}`}
                    disabledBecause={because}
                    onClick={() => save.mutate({ [port]: "socket" })}
                  >
                    Add
                  </ActionButton>
                )}
                {index > 0 && there.includes(port) && (
                  <ActionButton
                    size="sm"
                    variant="secondary"
                    aria-label={`Remove ${port}`}
                    disabledBecause={because}
                    onClick={() => save.mutate({ delete: port })}
                  >
                    Remove
                  </ActionButton>
                )}
              </Td>
            </Tr>
          ))}
        </Tbody>
      </Table>
      {running && <p className="quiet">Ports come and go at the next start.</p>}
    </Panel>
  );
}
