/** Realms: where users come from. */
import {
  Dropdown,
  DropdownItem,
  DropdownList,
  Label,
  MenuToggle,
  Skeleton,
  Tooltip,
} from "@patternfly/react-core";
import PencilIcon from "@patternfly/react-icons/dist/esm/icons/pencil-alt-icon";
import SyncIcon from "@patternfly/react-icons/dist/esm/icons/sync-alt-icon";
import TrashIcon from "@patternfly/react-icons/dist/esm/icons/trash-icon";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api } from "../api/client";
import { queries } from "../api/queries";
import { useMay } from "../api/session";
import type { Realm } from "../api/types";
import { ActionButton } from "../components/ActionButton";
import { ErrorNote } from "../components/ErrorNote";
import { Panel } from "../components/Panel";
import { openDialog } from "../dialogs/store";
import { canSync, isAdded, REALM_NAMES, type AddedType } from "../model/realm";

/** Why the caller cannot change realms. */
function useWhyNot(privilege: "Realm.Allocate" | "Realm.AllocateUser"): string | undefined {
  return useMay()("access", privilege) ? undefined : `your account lacks the privilege ${privilege}`;
}

export function Realms() {
  const { data: realms, error, refetch } = useQuery({ ...queries.realms(), staleTime: 5000 });
  return (
    <Panel title="Realms" tools={<AddRealm />}>
      {error && !realms && (
        <ErrorNote title="The realms cannot be read" error={error} onRetry={() => void refetch()} />
      )}
      {!realms && !error && <Skeleton height="8rem" screenreaderText="Loading realms" />}
      {realms && (
        <Table aria-label="Realms" variant="compact" gridBreakPoint="grid-md">
          <Thead>
            <Tr>
              <Th>Name</Th>
              <Th>Kind</Th>
              <Th>Description</Th>
              <Th>Second factor</Th>
              <Th screenReaderText="Actions" />
            </Tr>
          </Thead>
          <Tbody>
            {realms.map((realm) => (
              <Row key={realm.realm} realm={realm} />
            ))}
          </Tbody>
        </Table>
      )}
      {realms && !realms.some((realm) => isAdded(realm.type)) && (
        <p className="quiet pad">
          Users of a directory or of a provider can log in here, too: add it as a realm.
        </p>
      )}
    </Panel>
  );
}

function Row({ realm }: { realm: Realm }) {
  return (
    <Tr>
      <Td dataLabel="Name" modifier="nowrap">
        <span className="with-icon">
          {realm.realm}
          {realm.default ? (
            <Label isCompact variant="outline">
              chosen first
            </Label>
          ) : null}
        </span>
      </Td>
      <Td dataLabel="Kind">{REALM_NAMES[realm.type]}</Td>
      <Td dataLabel="Description" modifier="breakWord">
        {realm.comment ?? "–"}
      </Td>
      <Td dataLabel="Second factor">{realm.tfa ? "everybody must have one" : "each user decides"}</Td>
      <Td isActionCell modifier="nowrap">
        <RowActions realm={realm} />
      </Td>
    </Tr>
  );
}

function RowActions({ realm: { realm, type } }: { realm: Realm }) {
  const client = useQueryClient();
  const because = useWhyNot("Realm.Allocate");
  const noSync = useWhyNot("Realm.AllocateUser");

  async function remove(): Promise<void> {
    await api.delete("/access/domains/{realm}", { realm });
    await client.invalidateQueries({ queryKey: ["realms"] });
  }
  return (
    <>
      {canSync(type) && (
        <ActionButton
          variant="plain"
          size="sm"
          aria-label={`Synchronise ${realm}`}
          icon={<SyncIcon />}
          disabledBecause={noSync}
          onClick={() => openDialog({ kind: "realm-sync", realm })}
        />
      )}
      <ActionButton
        variant="plain"
        size="sm"
        aria-label={`Edit ${realm}`}
        icon={<PencilIcon />}
        disabledBecause={because}
        onClick={() => openDialog({ kind: "realm", type, realm })}
      />
      <ActionButton
        variant="plain"
        size="sm"
        aria-label={`Remove ${realm}`}
        icon={<TrashIcon />}
        disabledBecause={because ?? (isAdded(type) ? undefined : "this realm is always there")}
        onClick={() =>
          openDialog({
            kind: "confirm",
            title: `Remove the realm ${realm}?`,
            body: "Its users can no longer log in. Nothing is changed in the directory or at the provider.",
            verb: "Remove",
            danger: true,
            run: remove,
          })
        }
      />
    </>
  );
}

const ADDED: readonly AddedType[] = ["ldap", "ad", "openid"];

function AddRealm() {
  const because = useWhyNot("Realm.Allocate");
  const [open, setOpen] = useState(false);
  const toggle = (ref: React.Ref<HTMLButtonElement>) => (
    <MenuToggle
      ref={ref}
      variant="primary"
      isExpanded={open}
      isDisabled={because !== undefined}
      onClick={() => setOpen(!open)}
    >
      Add a realm
    </MenuToggle>
  );
  const menu = (
    <Dropdown
      isOpen={open}
      onOpenChange={setOpen}
      onSelect={() => setOpen(false)}
      popperProps={{ position: "right" }}
      toggle={toggle}
    >
      <DropdownList>
        {ADDED.map((type) => (
          <DropdownItem key={type} onClick={() => openDialog({ kind: "realm", type })}>
            {REALM_NAMES[type]}
          </DropdownItem>
        ))}
      </DropdownList>
    </Dropdown>
  );
  if (because === undefined) return menu;
  return (
    <Tooltip content={`Disabled, because ${because}.`}>
      <span tabIndex={0}>{menu}</span>
    </Tooltip>
  );
}
