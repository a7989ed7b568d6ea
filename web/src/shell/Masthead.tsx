import {
  Button,
  Divider,
  Dropdown,
  DropdownItem,
  DropdownList,
  MenuToggle,
  Tooltip,
} from "@patternfly/react-core";
import AdjustIcon from "@patternfly/react-icons/dist/esm/icons/adjust-icon";
import BarsIcon from "@patternfly/react-icons/dist/esm/icons/bars-icon";
import MoonIcon from "@patternfly/react-icons/dist/esm/icons/moon-icon";
import SunIcon from "@patternfly/react-icons/dist/esm/icons/sun-icon";
import UserIcon from "@patternfly/react-icons/dist/esm/icons/user-icon";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Link, useNavigate } from "react-router";
import { queries } from "../api/queries";
import { logout, useSession } from "../api/session";
import { CreateButtons } from "../components/CreateButtons";
import { openDialog } from "../dialogs/store";
import { OWN_REALM, realmOf } from "../model/users";
import { GlobalSearch } from "./GlobalSearch";
import { Logo } from "./Logo";
import { setTheme, useTheme, type Theme } from "./theme";

export function Masthead({ treeOpen, onToggleTree }: { treeOpen: boolean; onToggleTree: () => void }) {
  return (
    <header className="masthead">
      <Button
        variant="plain"
        className="masthead-bars"
        aria-label="Inventory"
        aria-expanded={treeOpen}
        onClick={onToggleTree}
        icon={<BarsIcon />}
      />
      <Link to="/" className="brand" aria-label="Basalt, datacenter">
        <Logo />
        <span className="brand-name">Basalt</span>
      </Link>
      <GlobalSearch />
      <div className="masthead-tools">
        <div className="masthead-create">
          <CreateButtons size="sm" />
        </div>
        <ThemeButton />
        <UserMenu />
      </div>
    </header>
  );
}

const THEMES: Record<Theme, { next: Theme; name: string; icon: typeof SunIcon }> = {
  system: { next: "light", name: "as the system", icon: AdjustIcon },
  light: { next: "dark", name: "light", icon: SunIcon },
  dark: { next: "system", name: "dark", icon: MoonIcon },
};

function ThemeButton() {
  const theme = useTheme();
  const { next, name, icon: Icon } = THEMES[theme];
  return (
    <Tooltip content={`Theme: ${name}`}>
      <Button
        variant="plain"
        aria-label={`Theme: ${name}. Change to ${THEMES[next].name}`}
        onClick={() => setTheme(next)}
        icon={<Icon />}
      />
    </Tooltip>
  );
}

function UserMenu() {
  const session = useSession();
  const version = useQuery(queries.version());
  const navigate = useNavigate();
  const [open, setOpen] = useState(false);
  const name = session.phase === "in" ? session.session.username : "";
  return (
    <Dropdown
      isOpen={open}
      onOpenChange={setOpen}
      onSelect={() => setOpen(false)}
      popperProps={{ position: "right" }}
      toggle={(ref) => (
        <MenuToggle
          ref={ref}
          variant="plainText"
          isExpanded={open}
          onClick={() => setOpen(!open)}
          aria-label={`Account ${name}`}
          icon={<UserIcon />}
        >
          <span className="masthead-user">{name}</span>
        </MenuToggle>
      )}
    >
      <DropdownList>
        <DropdownItem isDisabled key="version" description={name}>
          {version.data ? `API version ${version.data.version}` : "Basalt"}
        </DropdownItem>
        <Divider component="li" key="divider" />
        <DropdownItem key="permissions" onClick={() => openDialog({ kind: "permissions", authid: name })}>
          What you may do
        </DropdownItem>
        {realmOf(name) === OWN_REALM && (
          <DropdownItem key="password" onClick={() => openDialog({ kind: "password", userid: name })}>
            Change your password
          </DropdownItem>
        )}
        <DropdownItem key="factors" onClick={() => void navigate("/factors")}>
          Second factors
        </DropdownItem>
        <DropdownItem key="api" onClick={() => void navigate("/api")}>
          API methods
        </DropdownItem>
        <DropdownItem key="logout" onClick={() => logout()}>
          Log out
        </DropdownItem>
      </DropdownList>
    </Dropdown>
  );
}
