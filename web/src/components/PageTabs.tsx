import { Tab, Tabs, TabTitleText } from "@patternfly/react-core";
import { useNavigate } from "react-router";

interface PageTabsProps {
  label: string;
  /** Address of the page; a tab's key is appended. */
  base: string;
  tabs: readonly { key: string; title: string }[];
  current: string;
}

/** Id of the part of the page that the tabs switch. */
export const TAB_PANEL = "tab-panel";

/** Tabs whose choice is part of the address. */
export function PageTabs({ label, base, tabs, current }: PageTabsProps) {
  const navigate = useNavigate();
  return (
    <Tabs
      className="page-tabs"
      aria-label={label}
      activeKey={current}
      onSelect={(_event, key) => void navigate(`${base}/${key}`)}
    >
      {tabs.map(({ key, title }) => (
        <Tab key={key} eventKey={key} tabContentId={TAB_PANEL} title={<TabTitleText>{title}</TabTitleText>} />
      ))}
    </Tabs>
  );
}
