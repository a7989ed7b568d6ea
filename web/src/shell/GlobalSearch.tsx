/** One search over guests, nodes, storages and pools. `/` jumps here from anywhere. */
import { SearchInput } from "@patternfly/react-core";
import { useEffect, useId, useRef, useState, type KeyboardEvent } from "react";
import { useNavigate } from "react-router";
import { useInventory, type Inventory } from "../api/queries";
import { KindIcon, type Kind } from "../components/StatusIcon";
import { guestPath } from "../model/guest";
import { poolPage } from "../model/pools";

export interface Hit {
  key: string;
  kind: Kind;
  name: string;
  note: string;
  status: string | undefined;
  path: string;
}

const MOST = 12;

/** Things whose name, number or note contains every word typed. */
export function findHits(inventory: Inventory, text: string): Hit[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return [];
  return everything(inventory)
    .filter((hit) =>
      words.every((w) => `${hit.name} ${hit.note} ${hit.status ?? ""}`.toLowerCase().includes(w)),
    )
    .slice(0, MOST);
}

function everything({ guests, nodes, storages, pools }: Inventory): Hit[] {
  return [
    ...guests.map((g) => ({
      key: `${g.type}/${g.vmid}`,
      kind: g.type,
      name: `${g.vmid} ${g.name}`,
      note: `${g.type === "qemu" ? "virtual machine" : "container"} on ${g.node}`,
      status: g.status,
      path: guestPath(g),
    })),
    ...nodes.map((n) => ({
      key: n.id,
      kind: "node" as const,
      name: n.node ?? "",
      note: "node",
      status: n.status,
      path: `/nodes/${n.node}`,
    })),
    ...storages.map((s) => ({
      key: s.id,
      kind: "storage" as const,
      name: s.storage ?? "",
      note: `storage on ${s.node}`,
      status: s.status,
      path: `/nodes/${s.node}/storage/${s.storage}`,
    })),
    ...pools.map(({ id, pool = "" }) => ({
      key: id,
      kind: "pool" as const,
      name: pool,
      note: "pool",
      status: undefined,
      path: poolPage(pool),
    })),
  ];
}

function useSlashKey(focus: () => void): void {
  useEffect(() => {
    const onKey = (event: globalThis.KeyboardEvent) => {
      const target = event.target as HTMLElement;
      const typing = target.closest("input, textarea, select, [contenteditable], .xterm, [role=dialog]");
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || typing) return;
      event.preventDefault();
      focus();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [focus]);
}

export function GlobalSearch() {
  const { inventory } = useInventory();
  const navigate = useNavigate();
  const [text, setText] = useState("");
  const [open, setOpen] = useState(false);
  const [active, setActive] = useState(0);
  const input = useRef<HTMLInputElement>(null);
  const listId = useId();
  const [focusInput] = useState(() => () => input.current?.focus());
  useSlashKey(focusInput);

  const hits = inventory ? findHits(inventory, text) : [];
  const shown = open && text.trim() !== "";
  const chosen = hits[Math.min(active, hits.length - 1)];

  function go(hit: Hit | undefined): void {
    if (!hit) return;
    void navigate(hit.path);
    setText("");
    setOpen(false);
    input.current?.blur();
  }
  function onKeyDown(event: KeyboardEvent): void {
    const keys: Record<string, () => void> = {
      ArrowDown: () => setActive(Math.min(active + 1, hits.length - 1)),
      ArrowUp: () => setActive(Math.max(active - 1, 0)),
      Enter: () => go(chosen),
      Escape: () => setOpen(false),
    };
    const action = keys[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  return (
    <div className="search" onBlur={() => setOpen(false)}>
      <SearchInput
        ref={input}
        role="combobox"
        aria-label="Search guests, nodes, storages and pools"
        aria-expanded={shown}
        aria-controls={listId}
        aria-autocomplete="list"
        {...(shown && chosen ? { "aria-activedescendant": `${listId}-${chosen.key}` } : {})}
        placeholder="Search  /"
        value={text}
        onChange={(_event, value) => {
          setText(value);
          setOpen(true);
          setActive(0);
        }}
        onClear={() => setText("")}
        onKeyDown={onKeyDown}
        onFocus={() => setOpen(true)}
      />
      {shown && (
        <ul className="search-hits" role="listbox" id={listId} aria-label="Search results">
          {hits.map((hit) => (
            <li
              key={hit.key}
              id={`${listId}-${hit.key}`}
              role="option"
              aria-selected={hit === chosen}
              className="search-hit"
              onPointerDown={(event) => {
                event.preventDefault();
                go(hit);
              }}
            >
              <KindIcon kind={hit.kind} status={hit.status} />
              <span>{hit.name}</span>
              <span className="search-note">{hit.note}</span>
            </li>
          ))}
          {hits.length === 0 && (
            <li className="search-hit search-none" role="option" aria-selected={false} aria-disabled="true">
              Nothing is called “{text.trim()}”.
            </li>
          )}
        </ul>
      )}
    </div>
  );
}
