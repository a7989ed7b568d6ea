import { Label } from "@patternfly/react-core";
import type { TaskOutcome } from "../model/upid";

const LOOKS = {
  running: { status: "info", text: "Running" },
  ok: { status: "success", text: "OK" },
  warning: { status: "warning", text: "Warnings" },
  failed: { status: "danger", text: "Failed" },
} as const;

/** How a task ended, with the text of its failure when there is one. */
export function OutcomeLabel({ outcome, text }: { outcome: TaskOutcome; text?: string | undefined }) {
  const look = LOOKS[outcome];
  const words = outcome === "failed" && text ? text : look.text;
  return (
    <Label status={look.status} variant="outline" isCompact textMaxWidth="28ch">
      {words}
    </Label>
  );
}
