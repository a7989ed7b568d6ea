/** Who did what, and what was refused. */
import { FormSelect, FormSelectOption, Label, SearchInput, Skeleton } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { queries } from "../api/queries";
import type { LogEntry } from "../api/schema";
import { ErrorNote } from "../components/ErrorNote";
import { Panel } from "../components/Panel";
import { moment } from "../model/format";

const LENGTHS = [50, 200, 1000];
/** Severity of syslog (RFC 5424, section 6.2.1) up to which an entry is bad news. */
const WARNING = 4;

function matches(entry: LogEntry, filter: string): boolean {
  const wanted = filter.trim().toLowerCase();
  return [entry.user, entry.msg, entry.node, entry.tag].some((text) => text.toLowerCase().includes(wanted));
}

export function AuditLog() {
  const [max, setMax] = useState(LENGTHS[0]!);
  const [filter, setFilter] = useState("");
  const { data: entries, error, refetch } = useQuery(queries.auditLog(max));
  const shown = entries?.filter((entry) => matches(entry, filter));
  return (
    <Panel
      title="Audit log"
      tools={
        <>
          <SearchInput
            aria-label="Filter the log"
            placeholder="Filter"
            value={filter}
            onChange={(_event, value) => setFilter(value)}
            onClear={() => setFilter("")}
          />
          <FormSelect
            className="narrow-select"
            aria-label="Entries to show"
            value={max}
            onChange={(_event, value) => setMax(Number(value))}
          >
            {LENGTHS.map((n) => (
              <FormSelectOption key={n} value={n} label={`Newest ${n}`} />
            ))}
          </FormSelect>
        </>
      }
    >
      {error && !entries && (
        <ErrorNote title="The log cannot be read" error={error} onRetry={() => void refetch()} />
      )}
      {!entries && !error && <Skeleton height="14rem" screenreaderText="Loading the log" />}
      {shown?.length === 0 && (
        <p className="quiet pad">
          {filter ? "No entry contains what you typed." : "Nothing is in the log that you may see."}
        </p>
      )}
      {shown && shown.length > 0 && <Entries entries={shown} />}
    </Panel>
  );
}

function Entries({ entries }: { entries: readonly LogEntry[] }) {
  return (
    <Table aria-label="Audit log" variant="compact" gridBreakPoint="grid-md">
      <Thead>
        <Tr>
          <Th>When</Th>
          <Th>Who</Th>
          <Th width={50}>What</Th>
          <Th>Outcome</Th>
          <Th>Node</Th>
        </Tr>
      </Thead>
      <Tbody>
        {entries.map((entry) => (
          <Tr key={entry.uid}>
            <Td dataLabel="When" modifier="nowrap">
              {moment(entry.time)}
            </Td>
            <Td dataLabel="Who">{entry.user || "–"}</Td>
            <Td dataLabel="What" modifier="breakWord">
              {entry.msg}
            </Td>
            <Td dataLabel="Outcome">
              {entry.pri <= WARNING ? (
                <Label status="warning" variant="outline" isCompact>
                  refused or failed
                </Label>
              ) : (
                <Label variant="outline" isCompact>
                  done
                </Label>
              )}
            </Td>
            <Td dataLabel="Node">{entry.node}</Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}
