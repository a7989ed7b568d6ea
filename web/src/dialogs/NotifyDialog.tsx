/** Adds a target or a matcher of notifications, or changes one. */
import {
  Button,
  FormSection,
  Modal,
  ModalBody,
  ModalHeader,
  Skeleton,
  TextInput,
} from "@patternfly/react-core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { fieldsOf } from "../api/error";
import { changeNotify, createNotify } from "../api/notifications";
import { queries } from "../api/queries";
import { ErrorNote } from "../components/ErrorNote";
import { FormDialog } from "../components/FormDialog";
import { described, FormField } from "../components/FormField";
import { SettingField } from "../components/SettingField";
import { useSettings } from "../components/useSettings";
import {
  asConfig,
  asParams,
  checkNotifyName,
  KIND_NAMES,
  notifySections,
  type NotifyKind,
} from "../model/notifications";
import type { Config } from "../model/settings";

interface NotifyDialogProps {
  what: NotifyKind;
  /** The one to change; a new one when absent. */
  name?: string | undefined;
  onClose: () => void;
}

export default function NotifyDialog({ what, name, onClose }: NotifyDialogProps) {
  if (name === undefined) return <NotifyForm what={what} config={{}} onClose={onClose} />;
  return <ReadFirst what={what} name={name} onClose={onClose} />;
}

function ReadFirst({ what, name, onClose }: NotifyDialogProps & { name: string }) {
  const { data, error, refetch } = useQuery(queries.notification(what, name));
  if (data) return <NotifyForm what={what} name={name} config={asConfig(data)} onClose={onClose} />;
  return (
    <Modal variant="medium" isOpen onClose={onClose} aria-labelledby="notify-title">
      <ModalHeader title={name} labelId="notify-title" />
      <ModalBody>
        {error ? (
          <ErrorNote title="The settings cannot be read" error={error} onRetry={() => void refetch()} />
        ) : (
          <Skeleton height="16rem" screenreaderText={`Loading ${name}`} />
        )}
        <Button variant="link" onClick={onClose}>
          Cancel
        </Button>
      </ModalBody>
    </Modal>
  );
}

function NotifyForm({ what, name, config, onClose }: NotifyDialogProps & { config: Config }) {
  const isNew = name === undefined;
  const sections = notifySections(what, isNew);
  const client = useQueryClient();
  const [typed, setTyped] = useState("");
  const [named, setNamed] = useState(false);
  const job = useMutation({
    mutationFn: (change: Record<string, string>) => {
      // A webhook has no method unless it is said.
      const always: Record<string, string> = what === "webhook" && isNew ? { method: "post" } : {};
      return isNew
        ? createNotify(what, typed, { ...always, ...asParams(change) })
        : changeNotify(what, name, asParams(change));
    },
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ["notifications"] });
      onClose();
    },
  });
  const all = sections.flatMap((section) => section.settings);
  const form = useSettings(config, all, job.error);
  const nameWrong = isNew ? checkNotifyName(typed) : undefined;
  const complaint = (named ? nameWrong : undefined) ?? fieldsOf(job.error)["name"];

  function submit(): void {
    setNamed(true);
    if (form.check() && nameWrong === undefined) job.mutate(form.change);
  }
  return (
    <FormDialog
      title={isNew ? `Add: ${KIND_NAMES[what]}` : `${name}: ${KIND_NAMES[what]}`}
      variant="medium"
      verb={isNew ? "Add" : "Save"}
      pending={job.isPending}
      error={job.error}
      blocked={!isNew && !form.changed}
      onSubmit={submit}
      onClose={onClose}
    >
      {isNew && (
        <FormField
          id="notify-name"
          label="Name"
          required
          complaint={complaint}
          hint="It cannot be changed later."
        >
          <TextInput
            {...described("notify-name", complaint)}
            autoComplete="off"
            value={typed}
            onChange={(_event, value) => setTyped(value)}
          />
        </FormField>
      )}
      {sections.map((section) => (
        <FormSection key={section.title} title={section.title} titleElement="h2">
          {section.settings.map((setting) => (
            <SettingField
              key={setting.key}
              setting={setting}
              value={form.value(setting)}
              complaint={form.complaint(setting)}
              onChange={(value) => form.set(setting, value)}
            />
          ))}
        </FormSection>
      ))}
    </FormDialog>
  );
}
