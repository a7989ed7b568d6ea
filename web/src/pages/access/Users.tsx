/** Users: who they are, and whether they can log in. */
import { Label } from "@patternfly/react-core";
import EyeIcon from "@patternfly/react-icons/dist/esm/icons/eye-icon";
import LockIcon from "@patternfly/react-icons/dist/esm/icons/lock-icon";
import PencilIcon from "@patternfly/react-icons/dist/esm/icons/pencil-alt-icon";
import TrashIcon from "@patternfly/react-icons/dist/esm/icons/trash-icon";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api } from "../../api/client";
import { queries } from "../../api/queries";
import type { UserEntry } from "../../api/schema";
import { ActionButton } from "../../components/ActionButton";
import { FilterInput, matches } from "../../components/FilterInput";
import { Loaded } from "../../components/Loaded";
import { Panel } from "../../components/Panel";
import { RowAction } from "../../components/RowAction";
import { usePermissions } from "../../components/usePermissions";
import { openDialog } from "../../dialogs/store";
import { holds, words } from "../../model/access";
import { calendarDay } from "../../model/format";
import { fullName, OWN_REALM, realmOf, standing, SUPERUSER } from "../../model/users";
import { useRemoval } from "./removal";
import { useWhyNotUser } from "../../components/useWhyNotUser";

export function Users() {
  const query = useQuery(queries.users());
  const [filter, setFilter] = useState("");
  const shown = (user: UserEntry) =>
    matches(filter, user.userid, fullName(user), user.email, user.groups, user.comment);
  return (
    <Panel
      title="Users"
      tools={
        <>
          <FilterInput what="users" value={filter} onChange={setFilter} />
          <AddUser />
        </>
      }
    >
      <Loaded what="users" query={query}>
        {(users) =>
          users.some(shown) ? (
            <Table aria-label="Users" variant="compact" gridBreakPoint="grid-lg">
              <Thead>
                <Tr>
                  <Th>User</Th>
                  <Th>Name</Th>
                  <Th>State</Th>
                  <Th>Ends</Th>
                  <Th>Groups</Th>
                  <Th>Description</Th>
                  <Th screenReaderText="Actions" />
                </Tr>
              </Thead>
              <Tbody>
                {users.filter(shown).map((user) => (
                  <Row key={user.userid} user={user} />
                ))}
              </Tbody>
            </Table>
          ) : (
            <p className="quiet pad">No user is called that.</p>
          )
        }
      </Loaded>
    </Panel>
  );
}

/** Who may add users to one group alone adds them to that group. */
function AddUser() {
  const own = usePermissions();
  const { data: groups = [] } = useQuery(queries.groups());
  const paths = ["/access/groups", ...groups.map(({ groupid }) => `/access/groups/${groupid}`)];
  const may = !own || paths.some((path) => holds(own, path, "User.Modify"));
  return (
    <ActionButton
      disabledBecause={may ? undefined : "your account lacks the privilege User.Modify"}
      onClick={() => openDialog({ kind: "user" })}
    >
      Add a user
    </ActionButton>
  );
}

const TONES = { "can log in": "success", "switched off": "custom", ended: "warning" } as const;

function Row({ user }: { user: UserEntry }) {
  const state = standing(user);
  return (
    <Tr>
      <Td dataLabel="User" modifier="nowrap">
        {user.userid}
      </Td>
      <Td dataLabel="Name">{fullName(user) || "–"}</Td>
      <Td dataLabel="State">
        <Label status={TONES[state]} variant="outline" isCompact>
          {state}
        </Label>
      </Td>
      <Td dataLabel="Ends" modifier="nowrap">
        {user.expire ? calendarDay(user.expire) : "never"}
      </Td>
      <Td dataLabel="Groups" modifier="breakWord">
        {words(user.groups).join(", ") || "–"}
      </Td>
      <Td dataLabel="Description" modifier="breakWord">
        {user.comment || "–"}
      </Td>
      <Td isActionCell modifier="nowrap">
        <RowActions user={user} />
      </Td>
    </Tr>
  );
}

function RowActions({ user }: { user: UserEntry }) {
  const { userid } = user;
  const whyNot = useWhyNotUser();
  const remove = useRemoval();
  const elsewhere =
    realmOf(userid) === OWN_REALM ? undefined : `passwords of the realm ${realmOf(userid)} are not kept here`;
  return (
    <>
      <RowAction
        label={`What ${userid} may do`}
        icon={<EyeIcon />}
        because={whyNot.look(userid)}
        onClick={() => openDialog({ kind: "permissions", authid: userid })}
      />
      <RowAction
        label={`Set the password of ${userid}`}
        icon={<LockIcon />}
        because={elsewhere ?? whyNot.ownOr(user, whyNot.allocate(user))}
        onClick={() => openDialog({ kind: "password", userid })}
      />
      <RowAction
        label={`Edit ${userid}`}
        icon={<PencilIcon />}
        because={whyNot.change(user)}
        onClick={() => openDialog({ kind: "user", user })}
      />
      <RowAction
        label={`Remove ${userid}`}
        icon={<TrashIcon />}
        because={userid === SUPERUSER ? "this user is always there" : whyNot.allocate(user)}
        onClick={() =>
          remove({
            title: `Remove the user ${userid}?`,
            body: "API tokens, second factors and permissions of the user go, too.",
            run: () => api.delete("/access/users/{userid}", { userid }),
          })
        }
      />
    </>
  );
}
