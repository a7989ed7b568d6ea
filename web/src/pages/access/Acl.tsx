/** Who has which role on what. */
import TrashIcon from "@patternfly/react-icons/dist/esm/icons/trash-icon";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api } from "../../api/client";
import { queries } from "../../api/queries";
import type { AclEntry } from "../../api/schema";
import { ActionButton } from "../../components/ActionButton";
import { FilterInput, matches } from "../../components/FilterInput";
import { Loaded } from "../../components/Loaded";
import { Panel } from "../../components/Panel";
import { RowAction } from "../../components/RowAction";
import { usePermissions } from "../../components/usePermissions";
import { openDialog } from "../../dialogs/store";
import { mayGive, mayGiveSomewhere, SUBJECTS } from "../../model/access";
import { useRemoval } from "./removal";

const LACKING = "your account lacks the privilege Permissions.Modify";

export function Acl() {
  const query = useQuery(queries.acl());
  const own = usePermissions();
  const [filter, setFilter] = useState("");
  const shown = ({ path, ugid, roleid }: AclEntry) => matches(filter, path, ugid, roleid);
  return (
    <Panel
      title="Permissions"
      tools={
        <>
          <FilterInput what="permissions" value={filter} onChange={setFilter} />
          <ActionButton
            disabledBecause={!own || mayGiveSomewhere(own) ? undefined : LACKING}
            onClick={() => openDialog({ kind: "acl" })}
          >
            Give a role
          </ActionButton>
        </>
      }
    >
      <Loaded what="permissions" query={query}>
        {(entries) =>
          entries.length === 0 ? (
            <p className="quiet pad">
              Users, groups and API tokens may do what roles on paths give them. There are none that you may
              see.
            </p>
          ) : !entries.some(shown) ? (
            <p className="quiet pad">No path, nobody and no role is called that.</p>
          ) : (
            <Table aria-label="Permissions" variant="compact" gridBreakPoint="grid-md">
              <Thead>
                <Tr>
                  <Th>Path</Th>
                  <Th>Kind</Th>
                  <Th>Who</Th>
                  <Th>Role</Th>
                  <Th>Also below</Th>
                  <Th screenReaderText="Actions" />
                </Tr>
              </Thead>
              <Tbody>
                {entries
                  .filter(shown)
                  .sort(byPath)
                  .map((entry) => (
                    <Row
                      key={`${entry.path} ${entry.type} ${entry.ugid} ${entry.roleid}`}
                      entry={entry}
                      because={!own || mayGive(own, entry.path) ? undefined : `${LACKING} on ${entry.path}`}
                    />
                  ))}
              </Tbody>
            </Table>
          )
        }
      </Loaded>
    </Panel>
  );
}

function byPath(a: AclEntry, b: AclEntry): number {
  return a.path.localeCompare(b.path) || a.ugid.localeCompare(b.ugid) || a.roleid.localeCompare(b.roleid);
}

const PARAMS = { user: "users", group: "groups", token: "tokens" } as const;

function Row({ entry, because }: { entry: AclEntry; because: string | undefined }) {
  const { path, type, ugid, roleid, propagate } = entry;
  const remove = useRemoval();
  return (
    <Tr>
      <Td dataLabel="Path" modifier="breakWord">
        <code>{path}</code>
      </Td>
      <Td dataLabel="Kind">{SUBJECTS[type]}</Td>
      <Td dataLabel="Who" modifier="breakWord">
        {ugid}
      </Td>
      <Td dataLabel="Role">{roleid}</Td>
      <Td dataLabel="Also below">{propagate ? "yes" : "no"}</Td>
      <Td isActionCell modifier="nowrap">
        <RowAction
          label={`Take ${roleid} on ${path} from ${ugid}`}
          icon={<TrashIcon />}
          because={because}
          onClick={() =>
            remove({
              title: `Take ${roleid} on ${path} from ${ugid}?`,
              body: "What was given on paths above, or to groups, then holds here.",
              verb: "Take",
              run: () => api.put("/access/acl", { path, roles: roleid, [PARAMS[type]]: ugid, delete: 1 }),
            })
          }
        />
      </Td>
    </Tr>
  );
}
