/** Adds a role, or changes which privileges it has. */
import { Checkbox } from "@patternfly/react-core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api } from "../../api/client";
import { fieldsOf } from "../../api/error";
import { queries } from "../../api/queries";
import type { RoleEntry } from "../../api/schema";
import { FormDialog } from "../../components/FormDialog";
import { LineField } from "../../components/LineField";
import { useAccessJob } from "../../components/usePermissions";
import { byArea, checkRole, words } from "../../model/access";

interface RoleDialogProps {
  /** The role to change; a new one when absent. */
  role?: RoleEntry | undefined;
  /** The role that a new one begins as. */
  like?: RoleEntry | undefined;
  onClose: () => void;
}

export default function RoleDialog({ role, like, onClose }: RoleDialogProps) {
  const before = words((role ?? like)?.privs);
  const [name, setName] = useState("");
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set(before));
  const [tried, setTried] = useState(false);
  const job = useAccessJob(() => {
    const privs = [...chosen].sort().join(",");
    return role
      ? api.put("/access/roles/{roleid}", { roleid: role.roleid, privs })
      : api.post("/access/roles", { roleid: name, privs });
  }, onClose);
  const wrong = role ? undefined : checkRole(name);
  const refused = fieldsOf(job.error);
  const same = chosen.size === before.length && before.every((privilege) => chosen.has(privilege));

  function submit(): void {
    setTried(true);
    if (wrong === undefined) job.mutate(undefined);
  }
  return (
    <FormDialog
      title={role ? `Role ${role.roleid}` : like ? `Add a role like ${like.roleid}` : "Add a role"}
      variant="medium"
      verb={role ? "Save" : "Add"}
      pending={job.isPending}
      error={job.error}
      blocked={role !== undefined && same}
      onSubmit={submit}
      onClose={onClose}
    >
      {!role && (
        <LineField
          id="role-name"
          label="Name"
          required
          complaint={(tried ? wrong : undefined) ?? refused["roleid"]}
          hint="It cannot be changed later."
          value={name}
          onChange={setName}
        />
      )}
      <Privileges chosen={chosen} onChange={setChosen} />
    </FormDialog>
  );
}

interface PrivilegesProps {
  chosen: ReadonlySet<string>;
  onChange: (chosen: ReadonlySet<string>) => void;
}

/** All privileges that any role has, as boxes: the administrator's has every one. */
function Privileges({ chosen, onChange }: PrivilegesProps) {
  const { data: roles = [] } = useQuery(queries.roles());
  const known = new Set([...roles.flatMap(({ privs }) => words(privs)), ...chosen]);

  function toggle(privileges: readonly string[], on: boolean): void {
    const next = new Set(chosen);
    for (const privilege of privileges) {
      if (on) next.add(privilege);
      else next.delete(privilege);
    }
    onChange(next);
  }
  return byArea(known).map(({ area, privileges }) => {
    const have = privileges.filter((privilege) => chosen.has(privilege)).length;
    const id = `area-${privileges[0]?.split(".", 1)[0]}`;
    return (
      <fieldset key={area} className="area">
        <legend>
          <Checkbox
            id={id}
            label={area}
            aria-label={`All of ${area}`}
            isChecked={have === 0 ? false : have === privileges.length ? true : null}
            onChange={(_event, on) => toggle(privileges, on)}
          />
        </legend>
        <div className="area-boxes">
          {privileges.map((privilege) => (
            <Checkbox
              key={privilege}
              id={`privilege-${privilege}`}
              label={privilege}
              isChecked={chosen.has(privilege)}
              onChange={(_event, on) => toggle([privilege], on)}
            />
          ))}
        </div>
      </fieldset>
    );
  });
}
