import {
  Button,
  EmptyState,
  EmptyStateActions,
  EmptyStateBody,
  EmptyStateFooter,
  Skeleton,
  ToggleGroup,
  ToggleGroupItem,
} from "@patternfly/react-core";
import TerminalIcon from "@patternfly/react-icons/dist/esm/icons/terminal-icon";
import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense, useState } from "react";
import { queries } from "../api/queries";
import { firstView, views, type ConsoleView } from "../model/display";
import type { Guest, GuestRef } from "../model/guest";
import { useGuestActions } from "./useGuestActions";

const Terminal = lazy(() => import("../console/Terminal"));
const Screen = lazy(() => import("../console/Screen"));

const LOADING = <Skeleton height="20rem" screenreaderText="Loading the console" />;

/** The console of a running guest; for a stopped one, the way to start it. */
export function ConsoleTab({ at, guest }: { at: GuestRef; guest: Guest | undefined }) {
  const { act, whyNot } = useGuestActions();
  if (!guest) return LOADING;
  const refusal = whyNot(guest, "console");
  if (refusal === undefined) {
    return (
      <Suspense fallback={LOADING}>
        {at.type === "qemu" ? <VmConsole at={at} /> : <Terminal guest={at} />}
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

/** A machine's screen, its serial consoles, and the way from one to the other. */
function VmConsole({ at }: { at: GuestRef }) {
  const { data: config, isError } = useQuery(queries.guestConfig(at));
  const [chosen, setChosen] = useState<ConsoleView>();
  if (!config && !isError) return LOADING;
  if (!config) return <Terminal guest={at} />;
  const all = views(config);
  const current = all.find(({ view }) => view === chosen)?.view ?? firstView(config);
  return (
    <>
      {all.length > 1 && (
        <ToggleGroup isCompact aria-label="Which console">
          {all.map(({ view, name }) => (
            <ToggleGroupItem
              key={view}
              text={name}
              isSelected={view === current}
              onChange={() => setChosen(view)}
            />
          ))}
        </ToggleGroup>
      )}
      {current === "screen" ? <Screen guest={at} /> : <Terminal guest={at} port={current} />}
    </>
  );
}
