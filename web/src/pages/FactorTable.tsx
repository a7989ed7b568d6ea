/** Second factors as a table with what can be done to them, and the ways to add one. */
import { EmptyState, EmptyStateBody, Label } from "@patternfly/react-core";
import KeyIcon from "@patternfly/react-icons/dist/esm/icons/key-icon";
import PencilIcon from "@patternfly/react-icons/dist/esm/icons/pencil-alt-icon";
import TrashIcon from "@patternfly/react-icons/dist/esm/icons/trash-icon";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import type { Factor, FactorType } from "../api/schema";
import { ActionButton } from "../components/ActionButton";
import { openDialog } from "../dialogs/store";
import { FACTOR_NAMES, factorName } from "../model/factors";
import { moment } from "../model/format";

/** A factor with whose it is. */
export interface OwnedFactor {
  userid: string;
  factor: Factor;
}

interface FactorTableProps {
  rows: readonly OwnedFactor[];
  /** Whether a column says whose they are. */
  owners?: boolean;
  /** Why this user's factors cannot be changed. */
  because: (userid: string) => string | undefined;
}

export function FactorTable({ rows, owners, because }: FactorTableProps) {
  return (
    <Table aria-label="Second factors" variant="compact" gridBreakPoint="grid-md">
      <Thead>
        <Tr>
          {owners && <Th>User</Th>}
          <Th>Name</Th>
          <Th>Kind</Th>
          <Th>Added</Th>
          <Th>State</Th>
          <Th screenReaderText="Actions" />
        </Tr>
      </Thead>
      <Tbody>
        {rows.map(({ userid, factor }) => (
          <Tr key={`${userid} ${factor.id}`}>
            {owners && <Td dataLabel="User">{userid}</Td>}
            <Td dataLabel="Name" modifier="breakWord">
              {factorName(factor)}
            </Td>
            <Td dataLabel="Kind">{FACTOR_NAMES[factor.type]}</Td>
            <Td dataLabel="Added" modifier="nowrap">
              {moment(factor.created)}
            </Td>
            <Td dataLabel="State">
              <Label {...(factor.enable ? { status: "success" } : {})} variant="outline" isCompact>
                {factor.enable ? "in use" : "switched off"}
              </Label>
            </Td>
            <Td isActionCell modifier="nowrap">
              <FactorActions userid={userid} factor={factor} because={because(userid)} />
            </Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}

function FactorActions({ userid, factor, because }: OwnedFactor & { because: string | undefined }) {
  const what = `${factorName(factor)} of ${userid}`;
  return (
    <>
      <ActionButton
        variant="plain"
        size="sm"
        aria-label={`Change ${what}`}
        icon={<PencilIcon />}
        disabledBecause={because}
        onClick={() => openDialog({ kind: "factor-change", userid, factor })}
      />
      <ActionButton
        variant="plain"
        size="sm"
        aria-label={`Remove ${what}`}
        icon={<TrashIcon />}
        disabledBecause={because}
        onClick={() => openDialog({ kind: "factor-remove", userid, factor })}
      />
    </>
  );
}

const KINDS: readonly FactorType[] = ["totp", "webauthn", "recovery"];

interface AddButtonsProps {
  userid: string;
  /** What the user has: recovery codes come once. */
  have: readonly Factor[];
  because: string | undefined;
}

/** A button for each kind. */
export function AddFactorButtons({ userid, have, because }: AddButtonsProps) {
  const again = have.some((factor) => factor.type === "recovery")
    ? "there are some: remove those first"
    : undefined;
  return KINDS.map((type) => (
    <ActionButton
      key={type}
      size="sm"
      variant="secondary"
      disabledBecause={because ?? (type === "recovery" ? again : undefined)}
      onClick={() => openDialog({ kind: "factor-add", userid, type })}
    >
      Add {FACTOR_NAMES[type].toLowerCase()}
    </ActionButton>
  ));
}

export function NoFactors({ text }: { text: string }) {
  return (
    <EmptyState titleText="No second factor yet" headingLevel="h3" icon={KeyIcon} variant="sm">
      <EmptyStateBody>{text}</EmptyStateBody>
    </EmptyState>
  );
}
