/** Who is told of what happens on the host, and which events. */
import {
  Dropdown,
  DropdownItem,
  DropdownList,
  Label,
  MenuToggle,
  Skeleton,
  Tooltip,
} from "@patternfly/react-core";
import PaperPlaneIcon from "@patternfly/react-icons/dist/esm/icons/paper-plane-icon";
import PencilIcon from "@patternfly/react-icons/dist/esm/icons/pencil-alt-icon";
import TrashIcon from "@patternfly/react-icons/dist/esm/icons/trash-icon";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { messageOf } from "../api/error";
import { removeNotify, testTarget } from "../api/notifications";
import { queries } from "../api/queries";
import type { NotifyMatcherEntry, NotifyTarget } from "../api/schema";
import { useMay } from "../api/session";
import { ActionButton } from "../components/ActionButton";
import { ErrorNote } from "../components/ErrorNote";
import { Panel } from "../components/Panel";
import { openDialog } from "../dialogs/store";
import { KIND_NAMES, TARGET_TYPES, type NotifyKind } from "../model/notifications";
import { showToast } from "../shell/toasts";

type Origin = NotifyTarget["origin"];

/** Why the caller cannot change notifications. */
function useWhyNot(): string | undefined {
  return useMay()("mapping", "Mapping.Modify")
    ? undefined
    : "your account lacks the privilege Mapping.Modify";
}

export function Notifications() {
  return (
    <>
      <Targets />
      <Matchers />
    </>
  );
}

function Targets() {
  const { data: targets, error, refetch } = useQuery(queries.notifyTargets());
  return (
    <Panel title="Targets" tools={<AddTarget />}>
      {error && !targets && (
        <ErrorNote title="The targets cannot be read" error={error} onRetry={() => void refetch()} />
      )}
      {!targets && !error && <Skeleton height="8rem" screenreaderText="Loading targets" />}
      {targets && (
        <Table aria-label="Targets" variant="compact" gridBreakPoint="grid-md">
          <Thead>
            <Tr>
              <Th>Name</Th>
              <Th>Kind</Th>
              <Th>Description</Th>
              <Th screenReaderText="Actions" />
            </Tr>
          </Thead>
          <Tbody>
            {targets.map((target) => (
              <Tr key={target.name}>
                <Td dataLabel="Name" modifier="nowrap">
                  <Named name={target.name} off={target.disable === 1} origin={target.origin} />
                </Td>
                <Td dataLabel="Kind">{KIND_NAMES[target.type]}</Td>
                <Td dataLabel="Description" modifier="breakWord">
                  {target.comment ?? "–"}
                </Td>
                <Td isActionCell modifier="nowrap">
                  <TestButton name={target.name} />
                  <RowActions what={target.type} name={target.name} origin={target.origin} />
                </Td>
              </Tr>
            ))}
          </Tbody>
        </Table>
      )}
    </Panel>
  );
}

function Matchers() {
  const { data: matchers, error, refetch } = useQuery(queries.matchers());
  const because = useWhyNot();
  const add = (
    <ActionButton disabledBecause={because} onClick={() => openDialog({ kind: "notify", what: "matcher" })}>
      Add a matcher
    </ActionButton>
  );
  return (
    <Panel title="Matchers" tools={add}>
      {error && !matchers && (
        <ErrorNote title="The matchers cannot be read" error={error} onRetry={() => void refetch()} />
      )}
      {!matchers && !error && <Skeleton height="8rem" screenreaderText="Loading matchers" />}
      {matchers && (
        <Table aria-label="Matchers" variant="compact" gridBreakPoint="grid-md">
          <Thead>
            <Tr>
              <Th>Name</Th>
              <Th>Events</Th>
              <Th>Targets</Th>
              <Th>Description</Th>
              <Th screenReaderText="Actions" />
            </Tr>
          </Thead>
          <Tbody>
            {matchers.map((matcher) => (
              <Tr key={matcher.name}>
                <Td dataLabel="Name" modifier="nowrap">
                  <Named name={matcher.name} off={matcher.disable === 1} origin={matcher.origin} />
                </Td>
                <Td dataLabel="Events" modifier="breakWord">
                  {rules(matcher)}
                </Td>
                <Td dataLabel="Targets">{matcher.target?.join(", ") ?? "–"}</Td>
                <Td dataLabel="Description" modifier="breakWord">
                  {matcher.comment ?? "–"}
                </Td>
                <Td isActionCell modifier="nowrap">
                  <RowActions what="matcher" name={matcher.name} origin={matcher.origin} />
                </Td>
              </Tr>
            ))}
          </Tbody>
        </Table>
      )}
    </Panel>
  );
}

/** What a matcher takes, in a line. */
function rules(matcher: NotifyMatcherEntry): string {
  const all = ["match-severity", "match-field", "match-calendar"] as const;
  const texts = all.flatMap((key) => matcher[key] ?? []);
  const joined = texts.join(matcher.mode === "any" ? " or " : " and ");
  const inverted = matcher["invert-match"] === 1;
  if (texts.length === 0) return inverted ? "none" : "all";
  return inverted ? `not (${joined})` : joined;
}

function Named({ name, off, origin }: { name: string; off: boolean; origin: Origin }) {
  return (
    <span className="with-icon">
      {name}
      {off && (
        <Label isCompact color="orange">
          off
        </Label>
      )}
      {origin !== "user-created" && (
        <Label isCompact variant="outline">
          {origin === "builtin" ? "built in" : "built in, changed"}
        </Label>
      )}
    </span>
  );
}

function TestButton({ name }: { name: string }) {
  const job = useMutation({
    mutationFn: () => testTarget(name),
    onSuccess: () => showToast({ variant: "success", title: `A test was sent to ${name}` }),
    onError: (error) =>
      showToast({ variant: "danger", title: `The test of ${name} failed`, body: messageOf(error) }),
  });
  return (
    <ActionButton
      variant="plain"
      size="sm"
      aria-label={`Test ${name}`}
      icon={<PaperPlaneIcon />}
      disabledBecause={job.isPending ? "a test is on its way" : undefined}
      onClick={() => job.mutate()}
    />
  );
}

function RowActions({ what, name, origin }: { what: NotifyKind; name: string; origin: Origin }) {
  const client = useQueryClient();
  const because = useWhyNot();
  const builtIn = origin !== "user-created";

  async function remove(): Promise<void> {
    await removeNotify(what, name);
    await client.invalidateQueries({ queryKey: ["notifications"] });
  }
  return (
    <>
      <ActionButton
        variant="plain"
        size="sm"
        aria-label={`Edit ${name}`}
        icon={<PencilIcon />}
        disabledBecause={because}
        onClick={() => openDialog({ kind: "notify", what, name })}
      />
      <ActionButton
        variant="plain"
        size="sm"
        aria-label={builtIn ? `Put ${name} back` : `Remove ${name}`}
        icon={<TrashIcon />}
        disabledBecause={because ?? (origin === "builtin" ? "it is always there" : undefined)}
        onClick={() =>
          openDialog({
            kind: "confirm",
            title: builtIn ? `Put ${name} back to what it was?` : `Remove ${name}?`,
            body: builtIn ? "What was changed of it is lost." : "Its secrets are forgotten, too.",
            verb: builtIn ? "Put back" : "Remove",
            danger: true,
            run: remove,
          })
        }
      />
    </>
  );
}

function AddTarget() {
  const because = useWhyNot();
  const [open, setOpen] = useState(false);
  const menu = (
    <Dropdown
      isOpen={open}
      onOpenChange={setOpen}
      onSelect={() => setOpen(false)}
      popperProps={{ position: "right" }}
      toggle={(ref: React.Ref<HTMLButtonElement>) => (
        <MenuToggle
          ref={ref}
          variant="primary"
          isExpanded={open}
          isDisabled={because !== undefined}
          onClick={() => setOpen(!open)}
        >
          Add a target
        </MenuToggle>
      )}
    >
      <DropdownList>
        {TARGET_TYPES.map((what) => (
          <DropdownItem key={what} onClick={() => openDialog({ kind: "notify", what })}>
            {KIND_NAMES[what]}
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
