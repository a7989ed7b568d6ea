import {
  DescriptionList,
  DescriptionListDescription,
  DescriptionListGroup,
  DescriptionListTerm,
  Skeleton,
} from "@patternfly/react-core";
import type { ReactNode } from "react";

/** Terms and their values; a value not there yet is a skeleton, an absent one is left out. */
export function Facts({ facts, loading }: { facts: Record<string, ReactNode>; loading?: boolean }) {
  return (
    <DescriptionList isHorizontal isCompact className="facts">
      {Object.entries(facts)
        .filter(([, value]) => loading || (value !== undefined && value !== ""))
        .map(([term, value]) => (
          <DescriptionListGroup key={term}>
            <DescriptionListTerm>{term}</DescriptionListTerm>
            <DescriptionListDescription>
              {loading ? <Skeleton width="60%" screenreaderText={`Loading ${term}`} /> : value}
            </DescriptionListDescription>
          </DescriptionListGroup>
        ))}
    </DescriptionList>
  );
}
