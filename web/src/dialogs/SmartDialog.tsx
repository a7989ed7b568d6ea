/** What a disk says of itself (SMART). */
import { Label } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { queries } from "../api/queries";
import type { SmartAttribute, SmartReport } from "../api/schema";
import { HealthLabel, LifeLeft } from "../components/DiskLabels";
import { Facts } from "../components/Facts";
import { ViewDialog } from "../components/ViewDialog";

interface SmartDialogProps {
  node: string;
  /** Path of the device. */
  disk: string;
  onClose: () => void;
}

export default function SmartDialog({ node, disk, onClose }: SmartDialogProps) {
  const query = useQuery(queries.smart(node, disk));
  return (
    <ViewDialog
      variant="large"
      title={`SMART values of ${disk}`}
      what="SMART values"
      query={query}
      onClose={onClose}
    >
      {(report) => (
        <div className="stack">
          <Facts
            facts={{
              Health: <HealthLabel health={report.health} />,
              "Life left": <LifeLeft disk={disk} wearout={report.wearout} />,
            }}
          />
          <Details report={report} />
        </div>
      )}
    </ViewDialog>
  );
}

function Details({ report: { type, attributes, text } }: { report: SmartReport }) {
  if (type === "ata" && attributes?.length) return <Attributes attributes={attributes} />;
  if (type === "text" && text)
    return (
      <pre className="log" role="region" aria-label="SMART values" tabIndex={0}>
        {text}
      </pre>
    );
  return <p className="quiet">This disk says no more of itself.</p>;
}

function Attributes({ attributes }: { attributes: readonly SmartAttribute[] }) {
  return (
    <Table aria-label="SMART attributes" variant="compact" gridBreakPoint="grid-md">
      <Thead>
        <Tr>
          <Th>ID</Th>
          <Th>Name</Th>
          <Th>Flags</Th>
          <Th>Value</Th>
          <Th>Worst</Th>
          <Th>Threshold</Th>
          <Th>Failing</Th>
          <Th>Raw</Th>
        </Tr>
      </Thead>
      <Tbody>
        {attributes.map((attribute) => (
          <Tr key={attribute.id}>
            <Td dataLabel="ID">{attribute.id}</Td>
            <Td dataLabel="Name" modifier="breakWord">
              {attribute.name}
            </Td>
            <Td dataLabel="Flags" modifier="nowrap">
              <code>{attribute.flags}</code>
            </Td>
            <Td dataLabel="Value">{attribute.value}</Td>
            <Td dataLabel="Worst">{attribute.worst}</Td>
            <Td dataLabel="Threshold">{attribute.threshold}</Td>
            <Td dataLabel="Failing">
              <Failing fail={attribute.fail} />
            </Td>
            <Td dataLabel="Raw" modifier="breakWord">
              {attribute.raw}
            </Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}

/** When an attribute was at its threshold. */
function Failing({ fail }: { fail: string }) {
  if (fail === "-") return "–";
  return (
    <Label status={fail === "Past" ? "warning" : "danger"} variant="outline" isCompact>
      {fail}
    </Label>
  );
}
