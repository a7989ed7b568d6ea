/** API tokens of all users that the caller may see: what programs sign in with. */
import { Label } from "@patternfly/react-core";
import EyeIcon from "@patternfly/react-icons/dist/esm/icons/eye-icon";
import PencilIcon from "@patternfly/react-icons/dist/esm/icons/pencil-alt-icon";
import TrashIcon from "@patternfly/react-icons/dist/esm/icons/trash-icon";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api } from "../../api/client";
import { queries } from "../../api/queries";
import type { TokenEntry, UserEntry } from "../../api/schema";
import { ActionButton } from "../../components/ActionButton";
import { FilterInput, matches } from "../../components/FilterInput";
import { Loaded } from "../../components/Loaded";
import { Panel } from "../../components/Panel";
import { RowAction } from "../../components/RowAction";
import { openDialog } from "../../dialogs/store";
import { calendarDay } from "../../model/format";
import { standing } from "../../model/users";
import { useRemoval } from "./removal";
import { useWhyNotUser } from "../../components/useWhyNotUser";

interface Owned {
  user: UserEntry;
  token: TokenEntry;
}

function owned(users: readonly UserEntry[]): Owned[] {
  return users.flatMap((user) => (user.tokens ?? []).map((token) => ({ user, token })));
}

export function Tokens() {
  const query = useQuery(queries.users());
  const [filter, setFilter] = useState("");
  return (
    <Panel
      title="API tokens"
      tools={
        <>
          <FilterInput what="API tokens" value={filter} onChange={setFilter} />
          <ActionButton onClick={() => openDialog({ kind: "token" })}>Make a token</ActionButton>
        </>
      }
    >
      <Loaded what="API tokens" query={query}>
        {(users) => (
          <TokenTable
            rows={owned(users).filter(({ user, token }) =>
              matches(filter, `${user.userid}!${token.tokenid}`, token.comment),
            )}
            filtered={filter !== ""}
          />
        )}
      </Loaded>
    </Panel>
  );
}

function TokenTable({ rows, filtered }: { rows: readonly Owned[]; filtered: boolean }) {
  if (rows.length === 0)
    return (
      <p className="quiet pad">
        {filtered
          ? "No token is called that."
          : "There is none. Programs that call the API sign in with a token, so that no password lies with them."}
      </p>
    );
  return (
    <Table aria-label="API tokens" variant="compact" gridBreakPoint="grid-md">
      <Thead>
        <Tr>
          <Th>User</Th>
          <Th>Token</Th>
          <Th>May do</Th>
          <Th>Ends</Th>
          <Th>Description</Th>
          <Th screenReaderText="Actions" />
        </Tr>
      </Thead>
      <Tbody>
        {rows.map((row) => (
          <Row key={`${row.user.userid}!${row.token.tokenid}`} {...row} />
        ))}
      </Tbody>
    </Table>
  );
}

function Row({ user, token }: Owned) {
  const ended = standing({ expire: token.expire }) === "ended";
  return (
    <Tr>
      <Td dataLabel="User" modifier="breakWord">
        {user.userid}
      </Td>
      <Td dataLabel="Token" modifier="breakWord">
        {token.tokenid}
      </Td>
      <Td dataLabel="May do">{token.privsep ? "what is given to it" : "all that its user may"}</Td>
      <Td dataLabel="Ends" modifier="nowrap">
        <span className="with-icon">
          {token.expire ? calendarDay(token.expire) : "never"}
          {ended && (
            <Label status="warning" variant="outline" isCompact>
              ended
            </Label>
          )}
        </span>
      </Td>
      <Td dataLabel="Description" modifier="breakWord">
        {token.comment || "–"}
      </Td>
      <Td isActionCell modifier="nowrap">
        <RowActions user={user} token={token} />
      </Td>
    </Tr>
  );
}

function RowActions({ user, token }: Owned) {
  const whyNot = useWhyNotUser();
  const remove = useRemoval();
  const { userid } = user;
  const { tokenid } = token;
  const name = `${userid}!${tokenid}`;
  const because = whyNot.ownOr(user, whyNot.change(user));
  return (
    <>
      <RowAction
        label={`What ${name} may do`}
        icon={<EyeIcon />}
        because={whyNot.look(userid)}
        onClick={() => openDialog({ kind: "permissions", authid: name })}
      />
      <RowAction
        label={`Edit ${name}`}
        icon={<PencilIcon />}
        because={because}
        onClick={() => openDialog({ kind: "token", userid, token })}
      />
      <RowAction
        label={`Remove ${name}`}
        icon={<TrashIcon />}
        because={because}
        onClick={() =>
          remove({
            title: `Remove the token ${name}?`,
            body: "Programs that sign in with it are refused from now on, and what was given to it goes, too.",
            run: () => api.delete("/access/users/{userid}/token/{tokenid}", { userid, tokenid }),
          })
        }
      />
    </>
  );
}
