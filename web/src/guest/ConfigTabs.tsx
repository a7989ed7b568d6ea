/** Viewing and editing a guest's configuration. */
import { Skeleton } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { queries } from "../api/queries";
import { useMay } from "../api/session";
import type { GuestConfig } from "../api/types";
import { ActionButton } from "../components/ActionButton";
import { ErrorNote } from "../components/ErrorNote";
import { Panel } from "../components/Panel";
import { deviceRows, optionSettings, sizeSettings } from "../model/config";
import { openDialog } from "../dialogs/store";
import { growable } from "../model/disks";
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
              <Th screenReaderText="Actions" />
            </Tr>
          </Thead>
          <Tbody>
            {deviceRows(at.type, config).map(({ key, value }) => (
              <Tr key={key}>
                <Td>{key}</Td>
                <Td modifier="breakWord">
                  <code>{value}</code>
                </Td>
                <Td isActionCell>
                  <GrowButton at={at} config={config} name={key} />
                </Td>
              </Tr>
            ))}
          </Tbody>
        </Table>
      </Panel>
    </>
  );
}

interface GrowButtonProps {
  at: GuestRef;
  config: GuestConfig;
  /** Key of the device. */
  name: string;
}

/** The way to make a disk larger, where the device is one. */
function GrowButton({ at, config, name }: GrowButtonProps) {
  const may = useMay();
  const disk = growable(at.type, config, name);
  if (!disk) return null;
  const because = may("vms", "VM.Config.Disk")
    ? config["template"] === 1
      ? "the clones of a template share its disks"
      : undefined
    : "your account lacks the privilege VM.Config.Disk";
  const digest = config["digest"];
  return (
    <ActionButton
      size="sm"
      variant="secondary"
      aria-label={`Grow ${name}`}
      disabledBecause={because}
      onClick={() =>
        openDialog({
          kind: "grow-disk",
          at,
          disk,
          digest: digest === undefined ? undefined : String(digest),
        })
      }
    >
      Grow
    </ActionButton>
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
