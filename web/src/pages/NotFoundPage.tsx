import {
  Button,
  EmptyState,
  EmptyStateActions,
  EmptyStateBody,
  EmptyStateFooter,
} from "@patternfly/react-core";
import SearchIcon from "@patternfly/react-icons/dist/esm/icons/search-icon";
import { useNavigate } from "react-router";
import { usePageTitle } from "../components/usePageTitle";

/** Shown for addresses that lead nowhere, or to something that is gone. */
export default function NotFoundPage({ what = "page" }: { what?: string }) {
  usePageTitle("Not found");
  const navigate = useNavigate();
  return (
    <EmptyState titleText={`There is no such ${what}`} headingLevel="h1" icon={SearchIcon}>
      <EmptyStateBody>It may have been deleted or renamed. The inventory shows what there is.</EmptyStateBody>
      <EmptyStateFooter>
        <EmptyStateActions>
          <Button onClick={() => void navigate("/")}>Go to the datacenter</Button>
        </EmptyStateActions>
      </EmptyStateFooter>
    </EmptyState>
  );
}
