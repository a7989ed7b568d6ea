/** Groups of users, to which roles are given at once. */
import PencilIcon from "@patternfly/react-icons/dist/esm/icons/pencil-alt-icon";
import TrashIcon from "@patternfly/react-icons/dist/esm/icons/trash-icon";
import UsersIcon from "@patternfly/react-icons/dist/esm/icons/users-icon";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { api } from "../../api/client";
import { queries } from "../../api/queries";
import type { GroupEntry } from "../../api/schema";
import { ActionButton } from "../../components/ActionButton";
import { Loaded } from "../../components/Loaded";
import { Panel } from "../../components/Panel";
import { RowAction } from "../../components/RowAction";
import { useWhyNotOn } from "../../components/usePermissions";
import { openDialog } from "../../dialogs/store";
import { words } from "../../model/access";
import { useRemoval } from "./removal";

export function Groups() {
  const query = useQuery(queries.groups());
  const because = useWhyNotOn()("/access/groups", "Group.Allocate");
  const add = (
    <ActionButton disabledBecause={because} onClick={() => openDialog({ kind: "group" })}>
      Add a group
    </ActionButton>
  );
  return (
    <Panel title="Groups" tools={add}>
      <Loaded what="groups" query={query}>
        {(groups) =>
          groups.length === 0 ? (
            <p className="quiet pad">
              What is given to a group is given to every user in it. There is none that you may see.
            </p>
          ) : (
            <Table aria-label="Groups" variant="compact" gridBreakPoint="grid-md">
              <Thead>
                <Tr>
                  <Th>Group</Th>
                  <Th>Members</Th>
                  <Th>Description</Th>
                  <Th screenReaderText="Actions" />
                </Tr>
              </Thead>
              <Tbody>
                {groups.map((group) => (
                  <Row key={group.groupid} group={group} because={because} />
                ))}
              </Tbody>
            </Table>
          )
        }
      </Loaded>
    </Panel>
  );
}

function Row({ group, because }: { group: GroupEntry; because: string | undefined }) {
  const { groupid, users, comment } = group;
  const remove = useRemoval();
  return (
    <Tr>
      <Td dataLabel="Group" modifier="nowrap">
        {groupid}
      </Td>
      <Td dataLabel="Members" modifier="breakWord">
        {words(users).join(", ") || "–"}
      </Td>
      <Td dataLabel="Description" modifier="breakWord">
        {comment || "–"}
      </Td>
      <Td isActionCell modifier="nowrap">
        <RowAction
          label={`Members of ${groupid}`}
          icon={<UsersIcon />}
          because={undefined}
          onClick={() => openDialog({ kind: "members", groupid })}
        />
        <RowAction
          label={`Edit ${groupid}`}
          icon={<PencilIcon />}
          because={because}
          onClick={() => openDialog({ kind: "group", group })}
        />
        <RowAction
          label={`Remove ${groupid}`}
          icon={<TrashIcon />}
          because={because}
          onClick={() =>
            remove({
              title: `Remove the group ${groupid}?`,
              body: "Its users stay, but lose what was given to the group.",
              run: () => api.delete("/access/groups/{groupid}", { groupid }),
            })
          }
        />
      </Td>
    </Tr>
  );
}
