/** The menu of a row of the tree, at the pointer. */
import { Divider, Menu, MenuContent, MenuItem, MenuList } from "@patternfly/react-core";
import { useEffect, useLayoutEffect, useRef, useState } from "react";
import { useNavigate } from "react-router";
import { openDialog } from "../dialogs/store";
import { GuestMenuItems } from "../guest/GuestMenu";
import type { Guest } from "../model/guest";
import { contentKinds } from "../model/volume";

export type MenuTarget =
  | { kind: "datacenter" }
  | { kind: "node"; node: string }
  | { kind: "storage"; node: string; storage: string; content: string | undefined }
  | { kind: "guest"; guest: Guest };

interface ContextMenuProps {
  target: MenuTarget;
  x: number;
  y: number;
  onClose: () => void;
}

export function ContextMenu({ target, x, y, onClose }: ContextMenuProps) {
  const box = useRef<HTMLDivElement>(null);
  const [place, setPlace] = useState({ left: x, top: y });

  useLayoutEffect(() => {
    const size = box.current?.getBoundingClientRect();
    if (!size) return;
    setPlace({
      left: Math.max(4, Math.min(x, window.innerWidth - size.width - 8)),
      top: Math.max(4, Math.min(y, window.innerHeight - size.height - 8)),
    });
    box.current?.querySelector<HTMLElement>('[role="menuitem"]')?.focus();
  }, [x, y]);

  useEffect(() => {
    const away = (event: Event) => {
      if (!box.current?.contains(event.target as Node)) onClose();
    };
    const escape = (event: KeyboardEvent) => {
      if (event.key === "Escape" || event.key === "Tab") onClose();
    };
    document.addEventListener("pointerdown", away);
    document.addEventListener("keydown", escape);
    return () => {
      document.removeEventListener("pointerdown", away);
      document.removeEventListener("keydown", escape);
    };
  }, [onClose]);

  return (
    <div ref={box} className="context-menu" style={place}>
      <Menu onSelect={onClose}>
        <MenuContent>
          <MenuList aria-label="Actions">
            <Items target={target} />
          </MenuList>
        </MenuContent>
      </Menu>
    </div>
  );
}

function Items({ target }: { target: MenuTarget }) {
  const navigate = useNavigate();
  switch (target.kind) {
    case "guest":
      return <GuestMenuItems guest={target.guest} as="menu" />;
    case "storage": {
      const { node, storage } = target;
      const kinds = contentKinds(target.content);
      return (
        <>
          <MenuItem onClick={() => openDialog({ kind: "upload", node, storage, kinds })}>Upload…</MenuItem>
          <Divider component="li" />
          <MenuItem onClick={() => void navigate(`/nodes/${node}/storage/${storage}`)}>Show content</MenuItem>
        </>
      );
    }
    case "datacenter":
    case "node": {
      const node = target.kind === "node" ? target.node : undefined;
      return (
        <>
          <MenuItem onClick={() => openDialog({ kind: "create-vm", node })}>Create VM…</MenuItem>
          <MenuItem onClick={() => openDialog({ kind: "create-container", node })}>
            Create container…
          </MenuItem>
        </>
      );
    }
  }
}
