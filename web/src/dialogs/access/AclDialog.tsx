/** Gives somebody a role on a path. */
import { Checkbox } from "@patternfly/react-core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api } from "../../api/client";
import { fieldsOf } from "../../api/error";
import { queries } from "../../api/queries";
import type { AclKind } from "../../api/schema";
import { ChoiceField } from "../../components/ChoiceField";
import { FormDialog } from "../../components/FormDialog";
import { PathField } from "../../components/PathField";
import { useAccessJob } from "../../components/usePermissions";
import { checkPath, SUBJECTS } from "../../model/access";

/** Names of the parameters that say who. */
const PARAMS = { user: "users", group: "groups", token: "tokens" } as const;

interface AclDialogProps {
  path?: string | undefined;
  /** Whom to give it to. */
  to?: { kind: AclKind; id: string } | undefined;
  onClose: () => void;
}

/** Everybody of a kind. */
function useSubjects(kind: AclKind): string[] {
  const { data: users = [] } = useQuery(queries.users());
  const { data: groups = [] } = useQuery(queries.groups());
  switch (kind) {
    case "user":
      return users.map(({ userid }) => userid);
    case "group":
      return groups.map(({ groupid }) => groupid);
    case "token":
      return users.flatMap(({ userid, tokens = [] }) => tokens.map(({ tokenid }) => `${userid}!${tokenid}`));
  }
}

const asChoices = (names: readonly string[]) => names.map((name) => ({ value: name, label: name }));

export default function AclDialog({ path: start = "", to, onClose }: AclDialogProps) {
  const { data: roles = [] } = useQuery(queries.roles());
  const [path, setPath] = useState(start);
  const [kind, setKind] = useState<AclKind>(to?.kind ?? "user");
  const [who, setWho] = useState(to?.id ?? "");
  const [role, setRole] = useState("");
  const [below, setBelow] = useState(true);
  const [tried, setTried] = useState(false);
  const subjects = useSubjects(kind);
  const job = useAccessJob(
    () => api.put("/access/acl", { path, roles: role, [PARAMS[kind]]: who, propagate: below ? 1 : 0 }),
    onClose,
  );
  const refused = fieldsOf(job.error);
  const wrong = {
    path: checkPath(path),
    who: who === "" ? `Choose one: ${SUBJECTS[kind]}.` : undefined,
    role: role === "" ? "Choose a role." : undefined,
  };
  const shown = (key: keyof typeof wrong) => (tried ? wrong[key] : undefined);

  function submit(): void {
    setTried(true);
    if (Object.values(wrong).every((text) => text === undefined)) job.mutate(undefined);
  }
  return (
    <FormDialog
      title="Give a role"
      verb="Give"
      pending={job.isPending}
      error={job.error}
      onSubmit={submit}
      onClose={onClose}
    >
      <PathField
        id="acl-path"
        required
        hint="/ is everything; what is given further down replaces what would come down from above."
        value={path}
        complaint={shown("path") ?? refused["path"]}
        onChange={setPath}
      />
      <ChoiceField
        id="acl-kind"
        label="To a"
        options={Object.entries(SUBJECTS).map(([value, label]) => ({ value, label: label }))}
        value={kind}
        onChange={(next) => {
          setKind(next as AclKind);
          setWho("");
        }}
      />
      <ChoiceField
        id="acl-who"
        label={SUBJECTS[kind]}
        options={asChoices(subjects)}
        empty="Choose"
        complaint={shown("who") ?? refused[PARAMS[kind]]}
        value={who}
        onChange={setWho}
      />
      <ChoiceField
        id="acl-role"
        label="Role"
        options={asChoices(roles.map(({ roleid }) => roleid))}
        empty="Choose"
        complaint={shown("role") ?? refused["roles"]}
        value={role}
        onChange={setRole}
      />
      <Checkbox
        id="acl-below"
        label="Also for what lies below"
        description={refused["propagate"]}
        isChecked={below}
        onChange={(_event, on) => setBelow(on)}
      />
    </FormDialog>
  );
}
