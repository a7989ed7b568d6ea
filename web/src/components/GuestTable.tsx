/** Guests as a table with filter, live load and a menu per row. */
import {
  EmptyState,
  EmptyStateActions,
  EmptyStateBody,
  EmptyStateFooter,
  SearchInput,
} from "@patternfly/react-core";
import CubesIcon from "@patternfly/react-icons/dist/esm/icons/cubes-icon";
import { Table, Tbody, Td, Th, Thead, Tr, type ThProps } from "@patternfly/react-table";
import { useState } from "react";
import { Link } from "react-router";
import { GuestMenu } from "../guest/GuestMenu";
import { bytes, duration, share } from "../model/format";
import { guestPath, kindName, type Guest } from "../model/guest";
import { CreateButtons } from "./CreateButtons";
import { Meter } from "./Meter";
import { Panel } from "./Panel";
import { KindIcon, StatusText } from "./StatusIcon";

type SortKey = "vmid" | "name" | "status" | "cpu" | "mem" | "uptime";

const COLUMNS: { key: SortKey; title: string }[] = [
  { key: "vmid", title: "Guest" },
  { key: "name", title: "Name" },
  { key: "status", title: "Status" },
  { key: "cpu", title: "CPU" },
  { key: "mem", title: "Memory" },
  { key: "uptime", title: "Uptime" },
];

function sortValue(guest: Guest, key: SortKey): string | number {
  const { cpu = 0, mem = 0, uptime = 0 } = guest.resource;
  return { vmid: guest.vmid, name: guest.name, status: guest.status, cpu, mem, uptime }[key];
}

/** Guests containing the text, in the order asked for. */
export function arrangeGuests(
  guests: readonly Guest[],
  filter: string,
  key: SortKey,
  down: boolean,
): Guest[] {
  const text = filter.trim().toLowerCase();
  return guests
    .filter((g) => `${g.vmid} ${g.name} ${g.status} ${kindName(g.type)}`.toLowerCase().includes(text))
    .sort((a, b) => {
      const [x, y] = [sortValue(a, key), sortValue(b, key)];
      const order =
        typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
      return (down ? -order : order) || a.vmid - b.vmid;
    });
}

export function GuestTable({ guests, node }: { guests: readonly Guest[]; node?: string }) {
  const [filter, setFilter] = useState("");
  const [sort, setSort] = useState<{ key: SortKey; down: boolean }>({ key: "vmid", down: false });
  if (guests.length === 0) return <NoGuests {...(node ? { node } : {})} />;

  const rows = arrangeGuests(guests, filter, sort.key, sort.down);
  const sortOf = (index: number): ThProps["sort"] => ({
    columnIndex: index,
    sortBy: {
      index: COLUMNS.findIndex((column) => column.key === sort.key),
      direction: sort.down ? "desc" : "asc",
    },
    onSort: (_event, i, direction) =>
      setSort({ key: COLUMNS[i]?.key ?? "vmid", down: `${direction}` === "desc" }),
  });
  return (
    <Panel
      title="Guests"
      tools={
        <SearchInput
          aria-label="Filter guests"
          placeholder="Filter"
          value={filter}
          onChange={(_event, value) => setFilter(value)}
          onClear={() => setFilter("")}
        />
      }
    >
      <Table aria-label="Guests" variant="compact" gridBreakPoint="grid-md">
        <Thead>
          <Tr>
            {COLUMNS.map(({ key, title }, i) => (
              <Th key={key} sort={sortOf(i)} modifier="nowrap">
                {title}
              </Th>
            ))}
            <Th screenReaderText="Actions" />
          </Tr>
        </Thead>
        <Tbody>
          {rows.map((guest) => (
            <GuestRow key={`${guest.type}${guest.vmid}`} guest={guest} />
          ))}
          {rows.length === 0 && (
            <Tr>
              <Td colSpan={7} className="quiet">
                No guest matches “{filter}”.
              </Td>
            </Tr>
          )}
        </Tbody>
      </Table>
    </Panel>
  );
}

function GuestRow({ guest }: { guest: Guest }) {
  const { cpu, mem, maxmem, uptime } = guest.resource;
  const running = guest.status === "running";
  return (
    <Tr>
      <Td dataLabel="Guest" modifier="nowrap">
        <span className="with-icon">
          <KindIcon kind={guest.type} status={guest.status} />
          {guest.vmid}
        </span>
      </Td>
      <Td dataLabel="Name">
        <Link to={guestPath(guest)}>{guest.name}</Link>
      </Td>
      <Td dataLabel="Status">
        <StatusText status={guest.status} />
      </Td>
      <Td dataLabel="CPU">{running ? <Meter fraction={cpu} label={`CPU of ${guest.name}`} /> : "–"}</Td>
      <Td dataLabel="Memory">
        {running ? (
          <Meter fraction={share(mem, maxmem)} text={bytes(mem)} label={`Memory of ${guest.name}`} />
        ) : (
          "–"
        )}
      </Td>
      <Td dataLabel="Uptime" modifier="nowrap">
        {running ? duration(uptime) : "–"}
      </Td>
      <Td isActionCell>
        <GuestMenu guest={guest} />
      </Td>
    </Tr>
  );
}

function NoGuests({ node }: { node?: string }) {
  return (
    <Panel>
      <EmptyState titleText="No guests yet" headingLevel="h2" icon={CubesIcon}>
        <EmptyStateBody>
          First upload what they start from: a kernel and a disk image for a virtual machine, a template for a
          container. Choose a storage in the inventory for that. Then create the guest here.
        </EmptyStateBody>
        <EmptyStateFooter>
          <EmptyStateActions>
            <CreateButtons {...(node ? { node } : {})} />
          </EmptyStateActions>
        </EmptyStateFooter>
      </EmptyState>
    </Panel>
  );
}
