/** How disks and pools are, in words. */
import { Label } from "@patternfly/react-core";
import type { DiskHealth, Wearout } from "../api/schema";
import { Meter } from "./Meter";

/** What a disk says of itself. */
export function HealthLabel({ health }: { health: DiskHealth }) {
  if (health === "UNKNOWN") return <span className="quiet">unknown</span>;
  return (
    <Label status={health === "PASSED" ? "success" : "danger"} variant="outline" isCompact>
      {health === "PASSED" ? "Healthy" : "Failing"}
    </Label>
  );
}

/** How much of a disk's life is left; a dash for a disk that does not wear out, or does not say. */
export function LifeLeft({ disk, wearout }: { disk: string; wearout: Wearout | undefined }) {
  if (typeof wearout !== "number") return "–";
  return <Meter fraction={wearout / 100} isRest label={`Life left of ${disk}`} />;
}

/** States of spare devices: neither good nor bad. */
const WAITING: readonly string[] = ["AVAIL", "INUSE"];

/** The state of a pool of ZFS, or of a device in it. */
export function ZfsStateLabel({ state }: { state: string }) {
  const status = state === "ONLINE" ? "success" : WAITING.includes(state) ? undefined : "danger";
  return (
    <Label {...(status ? { status } : {})} variant="outline" isCompact>
      {state}
    </Label>
  );
}
