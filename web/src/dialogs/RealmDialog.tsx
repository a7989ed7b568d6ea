/** Adds a realm, or changes one. */
import {
  Button,
  Checkbox,
  FormSection,
  Modal,
  ModalBody,
  ModalHeader,
  Skeleton,
  TextInput,
} from "@patternfly/react-core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api } from "../api/client";
import { fieldsOf } from "../api/error";
import { queries } from "../api/queries";
import type { RealmType } from "../api/schema";
import { ErrorNote } from "../components/ErrorNote";
import { FormDialog } from "../components/FormDialog";
import { described, FormField } from "../components/FormField";
import { SettingField } from "../components/SettingField";
import { useSettings } from "../components/useSettings";
import { canSync, checkRealmName, REALM_NAMES, realmSections, SAFE_START } from "../model/realm";
import type { Config } from "../model/settings";

interface RealmDialogProps {
  type: RealmType;
  /** The realm to change; a new one when absent. */
  realm?: string | undefined;
  onClose: () => void;
}

export default function RealmDialog({ type, realm, onClose }: RealmDialogProps) {
  if (realm === undefined) return <RealmForm type={type} config={{}} onClose={onClose} />;
  return <ReadFirst type={type} realm={realm} onClose={onClose} />;
}

function ReadFirst({ type, realm, onClose }: RealmDialogProps & { realm: string }) {
  const { data: config, error, refetch } = useQuery(queries.realm(realm));
  if (config) return <RealmForm type={type} realm={realm} config={config} onClose={onClose} />;
  return (
    <Modal variant="medium" isOpen onClose={onClose} aria-labelledby="realm-title">
      <ModalHeader title={`Realm ${realm}`} labelId="realm-title" />
      <ModalBody>
        {error ? (
          <ErrorNote title="The realm cannot be read" error={error} onRetry={() => void refetch()} />
        ) : (
          <Skeleton height="16rem" screenreaderText={`Loading the realm ${realm}`} />
        )}
        <Button variant="link" onClick={onClose}>
          Cancel
        </Button>
      </ModalBody>
    </Modal>
  );
}

interface RealmFormProps extends RealmDialogProps {
  config: Config;
}

function RealmForm({ type, realm, config, onClose }: RealmFormProps) {
  const isNew = realm === undefined;
  const sections = realmSections(type, isNew);
  const client = useQueryClient();
  const [name, setName] = useState("");
  const [named, setNamed] = useState(false);
  const [connect, setConnect] = useState(isNew && canSync(type));
  const job = useMutation({
    mutationFn: (change: Record<string, string>) => {
      const check = connect ? { "check-connection": 1 as const } : {};
      return isNew
        ? api.post("/access/domains", { realm: name, type, ...change, ...check })
        : api.put("/access/domains/{realm}", { realm, ...change, ...check });
    },
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ["realms"] });
      onClose();
    },
  });
  const all = sections.flatMap((section) => section.settings);
  const form = useSettings(config, all, job.error, isNew && canSync(type) ? SAFE_START : {});
  const nameWrong = isNew ? checkRealmName(name) : undefined;
  const complaint = (named ? nameWrong : undefined) ?? fieldsOf(job.error)["realm"];

  function submit(): void {
    setNamed(true);
    if (form.check() && nameWrong === undefined) job.mutate(form.change);
  }
  return (
    <FormDialog
      title={isNew ? `Add a realm: ${REALM_NAMES[type]}` : `Realm ${realm}: ${REALM_NAMES[type]}`}
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
          id="realm-name"
          label="Name"
          required
          complaint={complaint}
          hint="Users are called USER@NAME. It cannot be changed later."
        >
          <TextInput
            {...described("realm-name", complaint)}
            autoComplete="off"
            value={name}
            onChange={(_event, value) => setName(value)}
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
      {canSync(type) && (
        <Checkbox
          id="realm-connect"
          label="Save only if the server answers and takes the account"
          isChecked={connect}
          onChange={(_event, on) => setConnect(on)}
        />
      )}
    </FormDialog>
  );
}
