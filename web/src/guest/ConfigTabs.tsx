/** Viewing and editing a guest's configuration. */
import { Skeleton } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { queries } from "../api/queries";
import { ErrorNote } from "../components/ErrorNote";
import { Panel } from "../components/Panel";
import { deviceRows, optionSettings, sizeSettings } from "../model/config";
import type { GuestRef } from "../model/guest";
import { FirmwarePanel } from "./FirmwarePanel";
import { SerialPanel } from "./SerialPanel";
import { SettingsForm } from "./SettingsForm";

interface TabProps {
  at: GuestRef;
  running: boolean;
}

function waits(running: boolean): string | undefined {
  return running
    ? "A running guest takes the change at once where it can, and else at its next start."
    : undefined;
}

/** Size of the guest, and its devices. */
export function HardwareTab({ at, running }: TabProps) {
  const { data: config, error } = useQuery(queries.guestConfig(at));
  if (error && !config) return <ErrorNote title="The configuration cannot be read" error={error} />;
  if (!config) return <Skeleton height="14rem" screenreaderText="Loading the configuration" />;
  return (
    <>
      <SettingsForm
        title="Size"
        at={at}
        config={config}
        settings={sizeSettings(at.type)}
        note={waits(running)}
      />
      {at.type === "qemu" && <FirmwarePanel at={at} config={config} running={running} />}
      {at.type === "qemu" && <SerialPanel at={at} config={config} running={running} />}
      <Panel title="Devices and boot">
        <Table aria-label="Devices and boot" variant="compact" gridBreakPoint="">
          <Thead>
            <Tr>
              <Th width={20}>Key</Th>
              <Th>Value</Th>
            </Tr>
          </Thead>
          <Tbody>
            {deviceRows(at.type, config).map(({ key, value }) => (
              <Tr key={key}>
                <Td>{key}</Td>
                <Td modifier="breakWord">
                  <code>{value}</code>
                </Td>
              </Tr>
            ))}
          </Tbody>
        </Table>
      </Panel>
    </>
  );
}

/** Name, start with the host, boot files, notes. */
export function OptionsTab({ at, running }: TabProps) {
  const { data: config, error } = useQuery(queries.guestConfig(at));
  if (error && !config) return <ErrorNote title="The configuration cannot be read" error={error} />;
  if (!config) return <Skeleton height="14rem" screenreaderText="Loading the configuration" />;
  return (
    <SettingsForm
      title="Options"
      at={at}
      config={config}
      settings={optionSettings(at.type)}
      note={waits(running)}
    />
  );
}
