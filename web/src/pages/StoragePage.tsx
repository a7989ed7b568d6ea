import {
  EmptyState,
  EmptyStateActions,
  EmptyStateBody,
  EmptyStateFooter,
  SearchInput,
  Skeleton,
  ToggleGroup,
  ToggleGroupItem,
} from "@patternfly/react-core";
import FolderIcon from "@patternfly/react-icons/dist/esm/icons/folder-open-icon";
import TrashIcon from "@patternfly/react-icons/dist/esm/icons/trash-icon";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useParams } from "react-router";
import { api } from "../api/client";
import { queries, useInventory } from "../api/queries";
import { useMay } from "../api/session";
import type { Resource, StorageStatus, Volume } from "../api/types";
import { taskWatch } from "../api/watch";
import { ActionButton } from "../components/ActionButton";
import { ErrorNote } from "../components/ErrorNote";
import { Facts } from "../components/Facts";
import { Meter } from "../components/Meter";
import { PageHead } from "../components/PageHead";
import { PageTabs, TAB_PANEL } from "../components/PageTabs";
import { Panel } from "../components/Panel";
import { Graphs } from "../components/RecordedGraphs";
import { KindIcon, StatusText } from "../components/StatusIcon";
import { usePageTitle } from "../components/usePageTitle";
import { openDialog } from "../dialogs/store";
import { bytes, moment, percent, share } from "../model/format";
import { storageRrd } from "../model/rrd";
import { contentKinds, kindLabel, KINDS, splitVolid, UPLOAD_KINDS, type ContentKind } from "../model/volume";
import NotFoundPage from "./NotFoundPage";

const TABS = [
  { key: "content", title: "Content" },
  { key: "summary", title: "Summary" },
];

export default function StoragePage() {
  const { node = "", storage = "", tab = "content" } = useParams();
  const { inventory } = useInventory();
  const { data: storages } = useQuery(queries.storages(node));
  usePageTitle(storage, node);
  const row = inventory?.storages.find((s) => s.node === node && s.storage === storage);
  const info = storages?.find((s) => s.storage === storage);
  if ((inventory && !row) || !TABS.some((t) => t.key === tab)) return <NotFoundPage what="storage" />;
  const kinds = contentKinds(info?.content ?? row?.content);
  const used = info?.used ?? row?.disk;
  const total = info?.total ?? row?.maxdisk;
  return (
    <>
      <PageHead
        icon={<KindIcon kind="storage" status={row?.status} />}
        title={storage}
        facts={
          <>
            <span>on {node}</span>
            <Meter
              fraction={share(used, total)}
              text={`${bytes(used)} of ${bytes(total)}`}
              label={`Use of storage ${storage}`}
            />
          </>
        }
        actions={<UploadButton node={node} storage={storage} kinds={kinds} />}
      />
      <PageTabs label="Storage" base={`/nodes/${node}/storage/${storage}`} tabs={TABS} current={tab} />
      <div className="page-body stack" id={TAB_PANEL} role="tabpanel" aria-label={tab}>
        {tab === "summary" ? (
          <>
            <Graphs of={storageRrd(node, storage)} />
            <StorageSummary row={row} info={info} kinds={kinds} />
          </>
        ) : (
          <Content key={`${node}/${storage}`} node={node} storage={storage} kinds={kinds} />
        )}
      </div>
    </>
  );
}

interface OnStorage {
  node: string;
  storage: string;
  kinds: string[];
}

function UploadButton({ node, storage, kinds, preset }: OnStorage & { preset?: string }) {
  const may = useMay();
  const uploadable = UPLOAD_KINDS.some((kind) => kinds.includes(kind));
  const because = !may("storage", "Datastore.AllocateTemplate")
    ? "your account lacks the privilege Datastore.AllocateTemplate"
    : uploadable
      ? undefined
      : "this storage takes no uploaded files";
  return (
    <ActionButton
      variant="primary"
      disabledBecause={because}
      onClick={() => openDialog({ kind: "upload", node, storage, kinds, preset })}
    >
      Upload
    </ActionButton>
  );
}

function StorageSummary({
  row,
  info,
  kinds,
}: {
  row: Resource | undefined;
  info: StorageStatus | undefined;
  kinds: string[];
}) {
  return (
    <Panel title="Storage">
      <Facts
        loading={!row}
        facts={{
          State: <StatusText status={row?.status} />,
          Type: info?.type ?? row?.plugintype,
          Shared: (info?.shared ?? row?.shared) ? "between nodes" : "on this node only",
          Content: kinds.map(kindLabel).join(", "),
          Used: bytes(info?.used ?? row?.disk),
          Free: bytes(info?.avail),
          Size: bytes(info?.total ?? row?.maxdisk),
          ...(info?.metadata_fraction === undefined
            ? {}
            : { "Pool's own records": `${percent(info.metadata_fraction)} of their room used` }),
        }}
      />
    </Panel>
  );
}

function Content({ node, storage, kinds }: OnStorage) {
  const { data: volumes, error, refetch } = useQuery(queries.content(node, storage));
  const [kind, setKind] = useState("all");
  const [filter, setFilter] = useState("");
  if (error && !volumes)
    return <ErrorNote title="The content cannot be read" error={error} onRetry={() => void refetch()} />;
  if (!volumes) return <Skeleton height="14rem" screenreaderText="Loading the content" />;

  const shown = volumes
    .filter((v) => kind === "all" || v.content === kind)
    .filter((v) => v.volid.toLowerCase().includes(filter.trim().toLowerCase()))
    .sort((a, b) => a.content.localeCompare(b.content) || a.volid.localeCompare(b.volid));
  return (
    <Panel
      tools={
        <>
          <ToggleGroup aria-label="Content kind" isCompact className="kinds">
            {["all", ...kinds].map((key) => (
              <ToggleGroupItem
                key={key}
                buttonId={`kind-${key}`}
                text={key === "all" ? "All" : kindLabel(key)}
                isSelected={kind === key}
                onChange={() => setKind(key)}
              />
            ))}
          </ToggleGroup>
          <SearchInput
            aria-label="Filter content"
            placeholder="Filter"
            value={filter}
            onChange={(_event, value) => setFilter(value)}
            onClear={() => setFilter("")}
          />
        </>
      }
    >
      {shown.length > 0 ? (
        <Volumes node={node} storage={storage} volumes={shown} />
      ) : (
        <NoContent node={node} storage={storage} kinds={kinds} kind={kind} filtered={filter.trim() !== ""} />
      )}
    </Panel>
  );
}

function NoContent({ kind, filtered, ...where }: OnStorage & { kind: string; filtered: boolean }) {
  if (filtered) return <p className="quiet pad">No name contains what you typed.</p>;
  const info = (KINDS as Record<string, (typeof KINDS)[ContentKind] | undefined>)[kind];
  const uploadable = kind === "all" || (UPLOAD_KINDS as readonly string[]).includes(kind);
  return (
    <EmptyState
      titleText={kind === "all" ? "This storage is empty" : `No ${kindLabel(kind)} here`}
      headingLevel="h2"
      icon={FolderIcon}
    >
      <EmptyStateBody>
        {info?.hint ??
          "Upload a kernel and a disk image to create a virtual machine, or a template to create a container."}
        {!uploadable && " They appear here as guests are created."}
      </EmptyStateBody>
      {uploadable && (
        <EmptyStateFooter>
          <EmptyStateActions>
            <UploadButton {...where} {...(kind === "all" ? {} : { preset: kind })} />
          </EmptyStateActions>
        </EmptyStateFooter>
      )}
    </EmptyState>
  );
}

function Volumes({ node, storage, volumes }: { node: string; storage: string; volumes: Volume[] }) {
  return (
    <Table aria-label="Content" variant="compact" gridBreakPoint="grid-md">
      <Thead>
        <Tr>
          <Th>Name</Th>
          <Th>Kind</Th>
          <Th>Format</Th>
          <Th>Size</Th>
          <Th>Created</Th>
          <Th>Guest</Th>
          <Th screenReaderText="Actions" />
        </Tr>
      </Thead>
      <Tbody>
        {volumes.map((volume) => (
          <Tr key={volume.volid}>
            <Td dataLabel="Name" modifier="breakWord">
              <span title={volume.volid}>{splitVolid(volume.volid).file}</span>
            </Td>
            <Td dataLabel="Kind">{kindLabel(volume.content)}</Td>
            <Td dataLabel="Format">{volume.format}</Td>
            <Td dataLabel="Size" modifier="nowrap">
              {bytes(volume.size)}
            </Td>
            <Td dataLabel="Created" modifier="nowrap">
              {moment(volume.ctime)}
            </Td>
            <Td dataLabel="Guest">{volume.vmid ?? "–"}</Td>
            <Td isActionCell>
              <DeleteVolume node={node} storage={storage} volume={volume} />
            </Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}

function DeleteVolume({ node, storage, volume }: { node: string; storage: string; volume: Volume }) {
  const client = useQueryClient();
  const { inventory } = useInventory();
  const may = useMay();
  const { file } = splitVolid(volume.volid);
  const owner = inventory?.guests.find((g) => g.vmid === volume.vmid);
  const because = !may("storage", "Datastore.Allocate")
    ? "your account lacks the privilege Datastore.Allocate"
    : owner
      ? `it belongs to guest ${owner.vmid}; delete it there`
      : undefined;

  async function remove(): Promise<void> {
    const path = "/nodes/{node}/storage/{storage}/content/{volume}";
    const upid = await api.delete(path, { node, storage, volume: volume.volid });
    taskWatch.track(upid, `Delete ${file}`);
    await client.invalidateQueries({ queryKey: ["node", node] });
  }

  return (
    <ActionButton
      variant="plain"
      size="sm"
      aria-label={`Delete ${file}`}
      icon={<TrashIcon />}
      disabledBecause={because}
      onClick={() =>
        openDialog({
          kind: "confirm",
          title: `Delete ${file}?`,
          body: `The volume ${volume.volid} (${bytes(volume.size)}) is removed. This cannot be undone.`,
          verb: "Delete",
          danger: true,
          run: remove,
        })
      }
    />
  );
}
