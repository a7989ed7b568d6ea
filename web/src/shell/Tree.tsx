/**
 * The inventory as a tree: datacenter, nodes, their guests and storages.
 *
 * One flat list of rows with levels; arrow keys move, left and right fold, Enter opens, the menu key or a right click
 * shows what can be done.
 */
import { Skeleton } from "@patternfly/react-core";
import AngleDownIcon from "@patternfly/react-icons/dist/esm/icons/angle-down-icon";
import AngleRightIcon from "@patternfly/react-icons/dist/esm/icons/angle-right-icon";
import { useRef, useState, type KeyboardEvent, type MouseEvent } from "react";
import { useLocation, useNavigate } from "react-router";
import { useInventory, type Inventory } from "../api/queries";
import { KindIcon, type Kind } from "../components/StatusIcon";
import { bytes, percent } from "../model/format";
import { guestPath, kindName, type Guest } from "../model/guest";
import { ContextMenu, type MenuTarget } from "./ContextMenu";

export interface TreeRow {
  id: string;
  level: number;
  kind: Kind;
  name: string;
  /** A quieter second part of the name. */
  note?: string;
  status?: string | undefined;
  hint: string;
  path: string;
  foldable: boolean;
  target: MenuTarget;
}

function guestRow(guest: Guest): TreeRow {
  const { cpu, mem } = guest.resource;
  const load = guest.status === "running" ? ` · CPU ${percent(cpu)} · memory ${bytes(mem)}` : "";
  return {
    id: `${guest.type}/${guest.vmid}`,
    level: 3,
    kind: guest.type,
    name: String(guest.vmid),
    note: guest.name,
    status: guest.lock ?? guest.status,
    hint: `${kindName(guest.type)} ${guest.vmid}, ${guest.name}: ${guest.status}${load}`,
    path: guestPath(guest),
    foldable: false,
    target: { kind: "guest", guest },
  };
}

/** The rows to show, with folded parts left out. */
export function treeRows(inventory: Inventory, folded: ReadonlySet<string>): TreeRow[] {
  const rows: TreeRow[] = [
    {
      id: "datacenter",
      level: 1,
      kind: "datacenter",
      name: "Datacenter",
      hint: "All nodes, guests and storages",
      path: "/",
      foldable: true,
      target: { kind: "datacenter" },
    },
  ];
  if (folded.has("datacenter")) return rows;
  for (const resource of inventory.nodes) {
    const node = resource.node ?? "";
    const id = `node/${node}`;
    rows.push({
      id,
      level: 2,
      kind: "node",
      name: node,
      status: resource.status,
      hint: `Node ${node}: ${resource.status ?? "unknown"} · CPU ${percent(resource.cpu)} · memory ${bytes(resource.mem)}`,
      path: `/nodes/${node}`,
      foldable: true,
      target: { kind: "node", node },
    });
    if (folded.has(id)) continue;
    rows.push(...inventory.guests.filter((g) => g.node === node).map(guestRow));
    for (const storage of inventory.storages.filter((s) => s.node === node)) {
      const name = storage.storage ?? "";
      rows.push({
        id: `storage/${node}/${name}`,
        level: 3,
        kind: "storage",
        name,
        status: storage.status,
        hint: `Storage ${name}: ${storage.status ?? "unknown"} · ${bytes(storage.disk)} of ${bytes(storage.maxdisk)} used`,
        path: `/nodes/${node}/storage/${name}`,
        foldable: false,
        target: { kind: "storage", node, storage: name, content: storage.content },
      });
    }
  }
  return rows;
}

/** True when the page shown belongs to the row. */
function isCurrent(row: TreeRow, pathname: string): boolean {
  if (row.kind === "datacenter") return pathname === "/" || pathname.startsWith("/datacenter");
  // What has more parts is the page of a guest or storage below it.
  if (row.kind === "node") return new RegExp(`^${row.path}(/[^/]+)?$`).test(pathname);
  return pathname === row.path || pathname.startsWith(`${row.path}/`);
}

interface OpenMenu {
  target: MenuTarget;
  x: number;
  y: number;
}

export function Tree({ onNavigate }: { onNavigate: () => void }) {
  const { inventory, isPending } = useInventory();
  const [folded, setFolded] = useState<ReadonlySet<string>>(new Set());
  const [focused, setFocused] = useState<string>();
  const [menu, setMenu] = useState<OpenMenu>();
  const navigate = useNavigate();
  const { pathname } = useLocation();
  const items = useRef(new Map<string, HTMLElement>());

  if (isPending) return <TreeSkeleton />;
  const rows = treeRows(inventory ?? { nodes: [], guests: [], storages: [], pools: [] }, folded);
  const tabStop = rows.find((r) => r.id === focused) ?? rows.find((r) => isCurrent(r, pathname)) ?? rows[0];

  function open(row: TreeRow): void {
    void navigate(row.path);
    onNavigate();
  }
  function fold(row: TreeRow, close: boolean): void {
    if (!row.foldable) return;
    const next = new Set(folded);
    if (close) next.add(row.id);
    else next.delete(row.id);
    setFolded(next);
  }
  function focus(row: TreeRow | undefined): void {
    if (!row) return;
    setFocused(row.id);
    items.current.get(row.id)?.focus();
  }
  function showMenu(event: MouseEvent | KeyboardEvent, row: TreeRow): void {
    event.preventDefault();
    const box = items.current.get(row.id)?.getBoundingClientRect();
    const byMouse = "clientX" in event && event.clientX > 0;
    setMenu({
      target: row.target,
      x: byMouse ? event.clientX : (box?.left ?? 0) + 40,
      y: byMouse ? event.clientY : (box?.bottom ?? 0),
    });
  }
  function onKeyDown(event: KeyboardEvent, row: TreeRow, index: number): void {
    const closed = folded.has(row.id);
    const keys: Record<string, () => void> = {
      ArrowDown: () => focus(rows[index + 1]),
      ArrowUp: () => focus(rows[index - 1]),
      Home: () => focus(rows[0]),
      End: () => focus(rows.at(-1)),
      ArrowRight: () => (row.foldable && closed ? fold(row, false) : focus(rows[index + 1])),
      ArrowLeft: () =>
        row.foldable && !closed
          ? fold(row, true)
          : focus(rows.slice(0, index).findLast((r) => r.level < row.level)),
      Enter: () => open(row),
      " ": () => open(row),
      ContextMenu: () => showMenu(event, row),
    };
    const action = event.key === "F10" && event.shiftKey ? keys["ContextMenu"] : keys[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  return (
    <>
      <div role="tree" aria-label="Inventory" className="tree">
        {rows.map((row, index) => (
          <div
            key={row.id}
            ref={(element) => {
              if (element) items.current.set(row.id, element);
              else items.current.delete(row.id);
            }}
            role="treeitem"
            aria-level={row.level}
            aria-selected={isCurrent(row, pathname)}
            aria-label={`${row.name}${row.note ? ` ${row.note}` : ""}${row.status ? `, ${row.status}` : ""}`}
            {...(row.foldable ? { "aria-expanded": !folded.has(row.id) } : {})}
            tabIndex={row.id === tabStop?.id ? 0 : -1}
            title={row.hint}
            className={`tree-row tree-level-${row.level}`}
            onClick={() => open(row)}
            onFocus={() => setFocused(row.id)}
            onKeyDown={(event) => onKeyDown(event, row, index)}
            onContextMenu={(event) => showMenu(event, row)}
          >
            {row.foldable ? (
              <span
                className="tree-fold"
                onClick={(event) => {
                  event.stopPropagation();
                  fold(row, !folded.has(row.id));
                }}
              >
                {folded.has(row.id) ? (
                  <AngleRightIcon aria-hidden="true" />
                ) : (
                  <AngleDownIcon aria-hidden="true" />
                )}
              </span>
            ) : (
              <span className="tree-fold" />
            )}
            <KindIcon kind={row.kind} status={row.status} />
            <span className="tree-name">{row.name}</span>
            {row.note && <span className="tree-note">{row.note}</span>}
          </div>
        ))}
      </div>
      {menu && (
        <ContextMenu
          {...menu}
          onClose={() => {
            setMenu(undefined);
            if (focused) items.current.get(focused)?.focus();
          }}
        />
      )}
    </>
  );
}

function TreeSkeleton() {
  return (
    <div className="tree tree-skeleton" aria-busy="true">
      {[60, 75, 55, 65, 50].map((width, i) => (
        <Skeleton key={i} width={`${width}%`} screenreaderText="Loading the inventory" />
      ))}
    </div>
  );
}
