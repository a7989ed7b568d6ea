import {
  Button,
  EmptyState,
  EmptyStateActions,
  EmptyStateBody,
  EmptyStateFooter,
  Skeleton,
} from "@patternfly/react-core";
import TerminalIcon from "@patternfly/react-icons/dist/esm/icons/terminal-icon";
import { lazy, Suspense } from "react";
import type { Guest, GuestRef } from "../model/guest";
import { useGuestActions } from "./useGuestActions";

const Terminal = lazy(() => import("../console/Terminal"));

/** The console of a running guest; for a stopped one, the way to start it. */
export function ConsoleTab({ at, guest }: { at: GuestRef; guest: Guest | undefined }) {
  const { act, whyNot } = useGuestActions();
  if (!guest) return <Skeleton height="20rem" screenreaderText="Loading the console" />;
  const refusal = whyNot(guest, "console");
  if (refusal === undefined) {
    return (
      <Suspense fallback={<Skeleton height="20rem" screenreaderText="Loading the console" />}>
        <Terminal guest={at} />
      </Suspense>
    );
  }
  const startable = whyNot(guest, "start") === undefined;
  return (
    <EmptyState titleText="No console" headingLevel="h2" icon={TerminalIcon}>
      <EmptyStateBody>
        There is nothing to show, because {refusal}.{startable && " Start it, and its console opens here."}
      </EmptyStateBody>
      {startable && (
        <EmptyStateFooter>
          <EmptyStateActions>
            <Button onClick={() => act(guest, "start")}>Start now</Button>
          </EmptyStateActions>
        </EmptyStateFooter>
      )}
    </EmptyState>
  );
}
