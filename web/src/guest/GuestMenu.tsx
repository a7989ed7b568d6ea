/** A guest's actions as menu items, for the context menu and the row menus. */
import { Divider, Dropdown, DropdownItem, DropdownList, MenuItem, MenuToggle } from "@patternfly/react-core";
import EllipsisIcon from "@patternfly/react-icons/dist/esm/icons/ellipsis-v-icon";
import { Fragment, useState } from "react";
import { ACTION_NAMES, knowsAction, shortName, type Guest, type GuestAction } from "../model/guest";
import { useGuestActions } from "./useGuestActions";

const ORDER: (GuestAction | "divider")[] = [
  "start",
  "shutdown",
  "reboot",
  "stop",
  "divider",
  "pause",
  "suspend",
  "resume",
  "divider",
  "console",
  "divider",
  "delete",
];

/** The items, to be placed in a menu of either sort. */
export function GuestMenuItems({ guest, as }: { guest: Guest; as: "menu" | "dropdown" }) {
  const { act, whyNot } = useGuestActions();
  const Item = as === "menu" ? MenuItem : DropdownItem;
  const known = ORDER.filter((action) => action === "divider" || knowsAction(guest.type, action));
  // A group of which nothing is left takes its divider along.
  const shown = known.filter((action, i) => action !== "divider" || known[i + 1] !== "divider");
  return shown.map((action, i) => {
    if (action === "divider") return <Divider key={`divider-${i}`} component="li" />;
    const reason = whyNot(guest, action);
    return (
      <Fragment key={action}>
        <Item
          isAriaDisabled={reason !== undefined}
          isDanger={action === "delete"}
          onClick={() => (reason === undefined ? act(guest, action) : undefined)}
          {...(reason
            ? { tooltipProps: { content: `Disabled, because ${reason}.`, position: "right" } }
            : {})}
        >
          {ACTION_NAMES[action]}
        </Item>
      </Fragment>
    );
  });
}

/** The "more actions" button of a row. */
export function GuestMenu({ guest }: { guest: Guest }) {
  const [open, setOpen] = useState(false);
  return (
    <Dropdown
      isOpen={open}
      onOpenChange={setOpen}
      onSelect={() => setOpen(false)}
      popperProps={{ position: "right" }}
      toggle={(ref) => (
        <MenuToggle
          ref={ref}
          variant="plain"
          size="sm"
          isExpanded={open}
          onClick={() => setOpen(!open)}
          aria-label={`Actions of ${shortName(guest)}`}
          icon={<EllipsisIcon />}
        />
      )}
    >
      <DropdownList>
        <GuestMenuItems guest={guest} as="dropdown" />
      </DropdownList>
    </Dropdown>
  );
}
