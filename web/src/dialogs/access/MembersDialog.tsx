/** Puts users into a group and takes them out; each at once. */
import TrashIcon from "@patternfly/react-icons/dist/esm/icons/trash-icon";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api } from "../../api/client";
import { queries } from "../../api/queries";
import { ActionButton } from "../../components/ActionButton";
import { ChoiceField } from "../../components/ChoiceField";
import { ErrorNote } from "../../components/ErrorNote";
import { RowAction } from "../../components/RowAction";
import { useAccessJob, useWhyNotOn } from "../../components/usePermissions";
import { ViewDialog } from "../../components/ViewDialog";
import { words } from "../../model/access";

interface MembersDialogProps {
  groupid: string;
  onClose: () => void;
}

function join(userid: string, groupid: string): Promise<unknown> {
  return api.put("/access/users/{userid}", { userid, groups: groupid, append: 1 });
}

/** The API takes the groups that remain: those that the user has now, not when the page was read. */
async function part(userid: string, groupid: string): Promise<unknown> {
  const { groups } = await api.get("/access/users/{userid}", { userid });
  const rest = groups.filter((group) => group !== groupid);
  return api.put("/access/users/{userid}", { userid, groups: rest.join(",") });
}

export default function MembersDialog({ groupid, onClose }: MembersDialogProps) {
  const query = useQuery(queries.groups());
  return (
    <ViewDialog
      variant="small"
      title={`Members of ${groupid}`}
      what="members"
      query={query}
      onClose={onClose}
    >
      {(groups) => (
        <Members
          groupid={groupid}
          members={words(groups.find((group) => group.groupid === groupid)?.users)}
        />
      )}
    </ViewDialog>
  );
}

function Members({ groupid, members }: { groupid: string; members: readonly string[] }) {
  const { data: users = [] } = useQuery(queries.users());
  const [picked, setPicked] = useState("");
  const because = useWhyNotOn()(`/access/groups/${groupid}`, "User.Modify");
  const adding = useAccessJob(
    (userid: string) => join(userid, groupid),
    () => setPicked(""),
  );
  const removing = useAccessJob(
    (userid: string) => part(userid, groupid),
    () => undefined,
  );
  const error = adding.error ?? removing.error;
  const others = users.map(({ userid }) => userid).filter((userid) => !members.includes(userid));
  return (
    <div className="stack">
      {error && <ErrorNote title="That was refused" error={error} />}
      {members.length === 0 && <p className="quiet">Nobody is in this group.</p>}
      <ul className="members" aria-label={`Members of ${groupid}`}>
        {members.map((userid) => (
          <li key={userid}>
            {userid}
            <RowAction
              label={`Take ${userid} out`}
              icon={<TrashIcon />}
              because={because}
              onClick={() => removing.mutate(userid)}
            />
          </li>
        ))}
      </ul>
      <ChoiceField
        id="member-user"
        label="User"
        options={others.map((userid) => ({ value: userid, label: userid }))}
        empty="Choose a user"
        value={picked}
        onChange={setPicked}
      />
      <div>
        <ActionButton
          variant="secondary"
          isLoading={adding.isPending}
          disabledBecause={because ?? (picked === "" ? "no user is chosen" : undefined)}
          onClick={() => adding.mutate(picked)}
        >
          Put into the group
        </ActionButton>
      </div>
    </div>
  );
}
