/** The second factors of all users, for administrators. */
import { Alert, FormSelect, FormSelectOption, SearchInput, Skeleton } from "@patternfly/react-core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api } from "../api/client";
import { queries } from "../api/queries";
import type { UserFactors } from "../api/schema";
import { useMay } from "../api/session";
import { ActionButton } from "../components/ActionButton";
import { ErrorNote } from "../components/ErrorNote";
import { Panel } from "../components/Panel";
import { AddFactorButtons, FactorTable, NoFactors, type OwnedFactor } from "./FactorTable";
import { useWhyNotFactors } from "./useWhyNotFactors";

function rowsOf(all: readonly UserFactors[], filter: string): OwnedFactor[] {
  const wanted = filter.trim().toLowerCase();
  return all
    .filter(({ userid }) => userid.toLowerCase().includes(wanted))
    .flatMap(({ userid, entries }) => entries.map((factor) => ({ userid, factor })))
    .sort((a, b) => a.userid.localeCompare(b.userid) || a.factor.created - b.factor.created);
}

export function AllFactors() {
  const { data: all, error, refetch } = useQuery(queries.allFactors());
  const [filter, setFilter] = useState("");
  const whyNot = useWhyNotFactors();
  if (error && !all)
    return (
      <ErrorNote title="The second factors cannot be read" error={error} onRetry={() => void refetch()} />
    );
  if (!all) return <Skeleton height="14rem" screenreaderText="Loading second factors" />;
  const rows = rowsOf(all, filter);
  return (
    <>
      {all
        .filter((user) => user["totp-locked"])
        .map(({ userid }) => (
          <Locked key={userid} userid={userid} />
        ))}
      <Panel
        title="Second factors of all users"
        tools={
          <SearchInput
            aria-label="Filter by user"
            placeholder="Filter by user"
            value={filter}
            onChange={(_event, value) => setFilter(value)}
            onClear={() => setFilter("")}
          />
        }
      >
        {rows.length > 0 && <FactorTable owners rows={rows} because={whyNot} />}
        {rows.length === 0 && filter !== "" && (
          <p className="quiet pad">No user with a second factor is called that.</p>
        )}
        {rows.length === 0 && filter === "" && (
          <NoFactors text="Users add theirs from the menu with their name, or you do it below." />
        )}
      </Panel>
      <AddForUser all={all} />
    </>
  );
}

/** Too many wrong codes: none is taken until somebody says so. */
function Locked({ userid }: { userid: string }) {
  const may = useMay();
  const client = useQueryClient();
  const unlock = useMutation({
    mutationFn: () => api.put("/access/users/{userid}/unlock-tfa", { userid }),
    onSuccess: () => client.invalidateQueries({ queryKey: ["factors"] }),
  });
  if (unlock.error) return <ErrorNote title={`${userid} stays locked`} error={unlock.error} />;
  const because = may("access", "User.Modify") ? undefined : "your account lacks the privilege User.Modify";
  return (
    <Alert
      isInline
      variant="warning"
      title={`The codes of ${userid} are refused after too many wrong ones`}
      actionLinks={
        <ActionButton
          variant="link"
          isInline
          isLoading={unlock.isPending}
          disabledBecause={because}
          onClick={() => unlock.mutate()}
        >
          Take them again
        </ActionButton>
      }
    />
  );
}

/** Adds a factor for somebody else, such as a key that is handed out. */
function AddForUser({ all }: { all: readonly UserFactors[] }) {
  const may = useMay();
  const allowed = may("access", "User.Modify");
  const { data: users, error } = useQuery({ ...queries.users(), enabled: allowed });
  const [userid, setUserid] = useState("");
  const whyNot = useWhyNotFactors();
  if (!allowed) return null;
  const have = all.find((user) => user.userid === userid)?.entries ?? [];
  return (
    <Panel title="Add one for a user">
      {error && <ErrorNote title="The users cannot be read" error={error} />}
      <div className="beside">
        <FormSelect aria-label="User" value={userid} onChange={(_event, value) => setUserid(value)}>
          <FormSelectOption value="" label="Choose a user" isPlaceholder />
          {users?.map((user) => (
            <FormSelectOption key={user.userid} value={user.userid} label={user.userid} />
          ))}
        </FormSelect>
        <AddFactorButtons
          userid={userid}
          have={have}
          because={userid === "" ? "no user is chosen" : whyNot(userid)}
        />
      </div>
    </Panel>
  );
}
