/** Adds a user, or changes one. */
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api } from "../../api/client";
import { fieldsOf } from "../../api/error";
import { queries } from "../../api/queries";
import type { UserEntry } from "../../api/schema";
import { ChoiceField } from "../../components/ChoiceField";
import { FormDialog } from "../../components/FormDialog";
import { SettingFields } from "../../components/SettingFields";
import { LineField } from "../../components/LineField";
import { useAccessJob, useWhyNotOn } from "../../components/usePermissions";
import { useSettings } from "../../components/useSettings";
import { checkUserName, emptied, OWN_REALM, userConfig, userSettings } from "../../model/users";
import { NewPassword, useNewPassword } from "./newPassword";

interface UserDialogProps {
  /** The user to change; a new one when absent. */
  user?: UserEntry | undefined;
  onClose: () => void;
}

/** The settings, with the groups that the caller knows of. */
function useUserSettings() {
  const { data: groups = [] } = useQuery(queries.groups());
  return userSettings(groups.map(({ groupid }) => groupid));
}

export default function UserDialog({ user, onClose }: UserDialogProps) {
  return user ? <ChangeUser user={user} onClose={onClose} /> : <AddUser onClose={onClose} />;
}

function ChangeUser({ user, onClose }: { user: UserEntry; onClose: () => void }) {
  const settings = useUserSettings();
  const job = useAccessJob(
    (change: Record<string, string>) =>
      api.put("/access/users/{userid}", { userid: user.userid, ...emptied(change) }),
    onClose,
  );
  const form = useSettings(userConfig(user), settings, job.error);
  return (
    <FormDialog
      title={`User ${user.userid}`}
      variant="medium"
      verb="Save"
      pending={job.isPending}
      error={job.error}
      blocked={!form.changed}
      onSubmit={() => form.check() && job.mutate(form.change)}
      onClose={onClose}
    >
      <SettingFields settings={settings} form={form} />
    </FormDialog>
  );
}

/** Realms that the caller may add users to. */
function useRealms(): { value: string; label: string }[] {
  const { data: realms = [] } = useQuery(queries.realms());
  const whyNot = useWhyNotOn();
  return realms
    .filter(({ realm }) => whyNot(`/access/realm/${realm}`, "Realm.AllocateUser") === undefined)
    .map(({ realm, comment }) => ({ value: realm, label: comment ? `${realm}: ${comment}` : realm }));
}

function AddUser({ onClose }: { onClose: () => void }) {
  const settings = useUserSettings();
  const realms = useRealms();
  const [name, setName] = useState("");
  const [picked, setPicked] = useState<string>();
  const [tried, setTried] = useState(false);
  const has = (wanted: string) => realms.some(({ value }) => value === wanted);
  const realm = picked ?? (has(OWN_REALM) ? OWN_REALM : (realms[0]?.value ?? ""));
  const job = useAccessJob(
    (change: Record<string, string>) => api.post("/access/users", { userid: `${name}@${realm}`, ...change }),
    onClose,
  );
  const password = useNewPassword(job.error);
  const form = useSettings({}, settings, job.error);
  const wrong = checkUserName(name);
  const hasPassword = realm === OWN_REALM;

  function submit(): void {
    setTried(true);
    const right = [form.check(), !hasPassword || password.check(), wrong === undefined];
    if (right.every(Boolean)) job.mutate({ ...form.change, ...(hasPassword ? password.params : {}) });
  }
  return (
    <FormDialog
      title="Add a user"
      variant="medium"
      verb="Add"
      pending={job.isPending}
      error={job.error}
      blocked={realm === ""}
      onSubmit={submit}
      onClose={onClose}
    >
      <LineField
        id="user-name"
        label="User name"
        required
        complaint={(tried ? wrong : undefined) ?? fieldsOf(job.error)["userid"]}
        hint="It cannot be changed later."
        value={name}
        onChange={setName}
      />
      <ChoiceField
        id="user-realm"
        label="Realm"
        hint={
          hasPassword
            ? "The password is kept here."
            : "The user must exist there, and logs in with what is proved there."
        }
        options={realms}
        value={realm}
        onChange={setPicked}
      />
      {hasPassword && <NewPassword password={password} />}
      <SettingFields settings={settings} form={form} />
    </FormDialog>
  );
}
