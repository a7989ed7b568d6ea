/** Small pictures for kinds and states, told apart by shape as well as colour. */
import ContainerIcon from "@patternfly/react-icons/dist/esm/icons/cube-icon";
import DatabaseIcon from "@patternfly/react-icons/dist/esm/icons/database-icon";
import DatacenterIcon from "@patternfly/react-icons/dist/esm/icons/cubes-icon";
import DesktopIcon from "@patternfly/react-icons/dist/esm/icons/desktop-icon";
import PoolIcon from "@patternfly/react-icons/dist/esm/icons/resource-pool-icon";
import ServerIcon from "@patternfly/react-icons/dist/esm/icons/server-icon";

export type Kind = "datacenter" | "node" | "qemu" | "lxc" | "storage" | "pool";

const ICONS = {
  datacenter: DatacenterIcon,
  node: ServerIcon,
  qemu: DesktopIcon,
  lxc: ContainerIcon,
  storage: DatabaseIcon,
  pool: PoolIcon,
};

/** Whether a state is good, off, or bad. */
export function toneOf(status: string | undefined): "up" | "off" | "bad" | "busy" {
  switch (status) {
    case "running":
    case "online":
    case "available":
      return "up";
    case "stopped":
    case undefined:
      return "off";
    case "offline":
    case "unavailable":
    case "unknown":
    case "io-error":
    case "internal-error":
    case "guest-panicked":
      return "bad";
    default:
      return "busy";
  }
}

/** Kinds that are in no state. */
const STATELESS: readonly Kind[] = ["datacenter", "pool"];

/** The kind's picture with a dot for its state. */
export function KindIcon({ kind, status }: { kind: Kind; status?: string | undefined }) {
  const Icon = ICONS[kind];
  return (
    <span className="kind-icon">
      <Icon aria-hidden="true" />
      {!STATELESS.includes(kind) && <span className={`dot dot-${toneOf(status)}`} aria-hidden="true" />}
    </span>
  );
}

/** A state in words, with its dot; and the finer one of a virtual machine, where it says more. */
export function StatusText({ status, finer }: { status: string | undefined; finer?: string | undefined }) {
  const words = status ?? "unknown";
  const more = finer === status ? undefined : finer;
  return (
    <span className="status-text">
      <span className={`dot dot-${toneOf(more ?? status)}`} aria-hidden="true" />{" "}
      {more ? `${words} (${more})` : words}
    </span>
  );
}
