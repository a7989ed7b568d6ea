/** Roles: privileges under a name. */
import { Label } from "@patternfly/react-core";
import CopyIcon from "@patternfly/react-icons/dist/esm/icons/copy-icon";
import PencilIcon from "@patternfly/react-icons/dist/esm/icons/pencil-alt-icon";
import TrashIcon from "@patternfly/react-icons/dist/esm/icons/trash-icon";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { api } from "../../api/client";
import { queries } from "../../api/queries";
import type { RoleEntry } from "../../api/schema";
import { ActionButton } from "../../components/ActionButton";
import { Loaded } from "../../components/Loaded";
import { Panel } from "../../components/Panel";
import { RowAction } from "../../components/RowAction";
import { useWhyNotOn } from "../../components/usePermissions";
import { openDialog } from "../../dialogs/store";
import { words } from "../../model/access";
import { useRemoval } from "./removal";

export function Roles() {
  const query = useQuery(queries.roles());
  const because = useWhyNotOn()("/access", "Sys.Modify");
  const add = (
    <ActionButton disabledBecause={because} onClick={() => openDialog({ kind: "role" })}>
      Add a role
    </ActionButton>
  );
  return (
    <Panel title="Roles" tools={add}>
      <Loaded what="roles" query={query}>
        {(roles) => (
          <Table aria-label="Roles" variant="compact" gridBreakPoint="grid-md">
            <Thead>
              <Tr>
                <Th width={20}>Role</Th>
                <Th>Privileges</Th>
                <Th screenReaderText="Actions" />
              </Tr>
            </Thead>
            <Tbody>
              {roles.map((role) => (
                <Row key={role.roleid} role={role} because={because} />
              ))}
            </Tbody>
          </Table>
        )}
      </Loaded>
    </Panel>
  );
}

function Row({ role, because }: { role: RoleEntry; because: string | undefined }) {
  const { roleid, privs, special } = role;
  const remove = useRemoval();
  const fixed = special ? "this role is built in" : undefined;
  return (
    <Tr>
      <Td dataLabel="Role" modifier="nowrap">
        <span className="with-icon">
          {roleid}
          {special ? (
            <Label isCompact variant="outline">
              built in
            </Label>
          ) : null}
        </span>
      </Td>
      <Td dataLabel="Privileges" modifier="breakWord">
        {words(privs).join(", ") || "none"}
      </Td>
      <Td isActionCell modifier="nowrap">
        <RowAction
          label={`Add a role like ${roleid}`}
          icon={<CopyIcon />}
          because={because}
          onClick={() => openDialog({ kind: "role", like: role })}
        />
        <RowAction
          label={`Edit ${roleid}`}
          icon={<PencilIcon />}
          because={fixed ?? because}
          onClick={() => openDialog({ kind: "role", role })}
        />
        <RowAction
          label={`Remove ${roleid}`}
          icon={<TrashIcon />}
          because={fixed ?? because}
          onClick={() =>
            remove({
              title: `Remove the role ${roleid}?`,
              body: "Whoever was given this role loses it, on every path.",
              run: () => api.delete("/access/roles/{roleid}", { roleid }),
            })
          }
        />
      </Td>
    </Tr>
  );
}
