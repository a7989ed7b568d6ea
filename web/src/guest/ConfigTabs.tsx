/** Viewing and editing a guest's configuration. */
import {
  Alert,
  Button,
  Checkbox,
  Form,
  FormSelect,
  FormSelectOption,
  Skeleton,
  TextArea,
  TextInput,
} from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";
import { api } from "../api/client";
import { fieldsOf } from "../api/error";
import { queries, useVolumes } from "../api/queries";
import { useMay } from "../api/session";
import type { GuestConfig } from "../api/types";
import { ActionButton } from "../components/ActionButton";
import { ErrorNote } from "../components/ErrorNote";
import { described, FormField } from "../components/FormField";
import { Panel } from "../components/Panel";
import {
  changeParams,
  deviceRows,
  optionSettings,
  shownValue,
  sizeSettings,
  type Setting,
} from "../model/config";
import type { GuestRef } from "../model/guest";
import { showToast } from "../shell/toasts";

interface TabProps {
  at: GuestRef;
  running: boolean;
}

/** Size of the guest, and its devices. */
export function HardwareTab({ at, running }: TabProps) {
  const { data: config, error } = useQuery(queries.guestConfig(at));
  if (error && !config) return <ErrorNote title="The configuration cannot be read" error={error} />;
  if (!config) return <Skeleton height="14rem" screenreaderText="Loading the configuration" />;
  return (
    <>
      <SettingsForm title="Size" at={at} config={config} settings={sizeSettings(at.type)} running={running} />
      <Panel title="Devices and boot">
        <Table aria-label="Devices and boot" variant="compact" gridBreakPoint="">
          <Thead>
            <Tr>
              <Th width={20}>Key</Th>
              <Th>Value</Th>
            </Tr>
          </Thead>
          <Tbody>
            {deviceRows(config).map(({ key, value }) => (
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
      running={running}
    />
  );
}

interface SettingsFormProps extends TabProps {
  title: string;
  config: GuestConfig;
  settings: Setting[];
}

function useSave(at: GuestRef, onSaved: () => void) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (change: Record<string, string>) =>
      api.put(`/nodes/{node}/${at.type}/{vmid}/config`, { ...change, node: at.node, vmid: at.vmid }),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ["guest", at.type, at.vmid] });
      void client.invalidateQueries({ queryKey: ["resources"] });
      showToast({ variant: "success", title: "Saved" });
      onSaved();
    },
  });
}

function SettingsForm({ title, at, config, settings, running }: SettingsFormProps) {
  const may = useMay();
  const [edits, setEdits] = useState<Record<string, string>>({});
  const save = useSave(at, () => setEdits({}));
  const client = useQueryClient();
  const refused = fieldsOf(save.error);
  const change = changeParams(config, settings, edits);
  const changed = Object.keys(change).length > 0;
  const complaintOf = (setting: Setting) => {
    const value = edits[setting.key];
    return value === undefined ? undefined : (setting.check?.(value) ?? refused[setting.key]);
  };
  const wrong = settings.some((s) => {
    const value = edits[s.key];
    return value !== undefined && s.check?.(value) !== undefined;
  });
  const because = !may("vms", "VM.Config.Options")
    ? "your account may not change this guest"
    : !changed
      ? "nothing was changed"
      : wrong
        ? "a field is not right yet"
        : undefined;

  function submit(event: FormEvent): void {
    event.preventDefault();
    if (because === undefined && !save.isPending) save.mutate(change);
  }
  function discard(): void {
    setEdits({});
    save.reset();
    void client.invalidateQueries({ queryKey: queries.guestConfig(at).queryKey });
  }

  return (
    <Panel title={title}>
      <Form onSubmit={submit} noValidate className="settings">
        {save.error && <ErrorNote title="The change was not saved" error={save.error} />}
        {settings.map((setting) => (
          <SettingField
            key={setting.key}
            setting={setting}
            node={at.node}
            value={edits[setting.key] ?? shownValue(config, setting)}
            complaint={complaintOf(setting)}
            onChange={(value) => setEdits({ ...edits, [setting.key]: value })}
          />
        ))}
        {running && changed && (
          <Alert
            isInline
            isPlain
            variant="info"
            title="A running guest takes the change at its next start."
          />
        )}
        <div className="form-actions">
          <ActionButton type="submit" disabledBecause={because} isLoading={save.isPending}>
            Save
          </ActionButton>
          {changed && (
            <Button variant="link" onClick={discard}>
              Discard
            </Button>
          )}
        </div>
      </Form>
    </Panel>
  );
}

interface SettingFieldProps {
  setting: Setting;
  node: string;
  value: string;
  complaint: string | undefined;
  onChange: (value: string) => void;
}

function SettingField({ setting, node, value, complaint, onChange }: SettingFieldProps) {
  const id = `setting-${setting.key}`;
  if (setting.kind === "flag") {
    return (
      <Checkbox
        id={id}
        label={setting.label}
        isChecked={value === "1"}
        onChange={(_event, on) => onChange(on ? "1" : "0")}
      />
    );
  }
  const common = { ...described(id, complaint), value };
  return (
    <FormField id={id} label={setting.label} hint={setting.hint} complaint={complaint}>
      {setting.kind === "volume" ? (
        <BootFile id={id} node={node} value={value} onChange={onChange} />
      ) : setting.kind === "lines" ? (
        <TextArea
          {...common}
          rows={4}
          resizeOrientation="vertical"
          onChange={(_event, text) => onChange(text)}
        />
      ) : (
        <TextInput
          {...common}
          inputMode={setting.kind === "number" ? "numeric" : "text"}
          className={setting.kind === "number" ? "narrow" : ""}
          onChange={(_event, text) => onChange(text)}
        />
      )}
    </FormField>
  );
}

function BootFile({
  id,
  node,
  value,
  onChange,
}: {
  id: string;
  node: string;
  value: string;
  onChange: (v: string) => void;
}) {
  const { data: volumes = [] } = useVolumes(node, "kernel");
  const known = volumes.some((v) => v.volid === value);
  return (
    <FormSelect id={id} value={value} onChange={(_event, volid) => onChange(volid)}>
      <FormSelectOption value="" label="None" />
      {value && !known ? <FormSelectOption value={value} label={value} /> : null}
      {volumes.map((v) => (
        <FormSelectOption key={v.volid} value={v.volid} label={v.volid} />
      ))}
    </FormSelect>
  );
}
