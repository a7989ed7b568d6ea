/** A form of a guest's settings, saved in one change. */
import { Alert, Button, Form } from "@patternfly/react-core";
import { useQueryClient } from "@tanstack/react-query";
import type { FormEvent } from "react";
import { queries } from "../api/queries";
import { useMay } from "../api/session";
import type { GuestConfig } from "../api/types";
import { ActionButton } from "../components/ActionButton";
import { ErrorNote } from "../components/ErrorNote";
import { Panel } from "../components/Panel";
import { SettingField } from "../components/SettingField";
import { useSettings } from "../components/useSettings";
import { privilegeFor } from "../model/config";
import type { GuestRef } from "../model/guest";
import type { Setting } from "../model/settings";
import { useSave } from "./useSave";

interface SettingsFormProps {
  title: string;
  at: GuestRef;
  config: GuestConfig;
  settings: readonly Setting[];
  /** What to say of a change while it is not saved. */
  note?: string | undefined;
}

export function SettingsForm({ title, at, config, settings, note }: SettingsFormProps) {
  const may = useMay();
  const client = useQueryClient();
  const save = useSave(at);
  const form = useSettings(config, settings, save.error);
  const allowed = (setting: Setting) => may("vms", privilegeFor(at.type, setting));
  const because = !settings.some(allowed)
    ? "your account may not change this guest"
    : !form.changed
      ? "nothing was changed"
      : form.wrong
        ? "a field is not right yet"
        : undefined;

  function submit(event: FormEvent): void {
    event.preventDefault();
    if (because === undefined && !save.isPending) save.mutate(form.change, { onSuccess: () => form.reset() });
  }
  function discard(): void {
    form.reset();
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
            value={form.value(setting)}
            complaint={form.complaint(setting)}
            isDisabled={!allowed(setting)}
            onChange={(value) => form.set(setting, value)}
          />
        ))}
        {note && form.changed && <Alert isInline isPlain variant="info" title={note} />}
        <div className="form-actions">
          <ActionButton type="submit" disabledBecause={because} isLoading={save.isPending}>
            Save
          </ActionButton>
          {form.changed && (
            <Button variant="link" onClick={discard}>
              Discard
            </Button>
          )}
        </div>
      </Form>
    </Panel>
  );
}
