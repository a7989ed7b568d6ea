/** The addresses of a running guest, as its agent tells them. */
import { Skeleton } from "@patternfly/react-core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { ApiError, messageOf } from "../api/error";
import { queries } from "../api/queries";
import type { GuestConfig } from "../api/types";
import { Facts } from "../components/Facts";
import { Panel } from "../components/Panel";
import { readInterfaces } from "../model/agent";
import { guestPath, type GuestRef } from "../model/guest";
import { parseProps } from "../model/propstring";

/** Whether a machine has its agent's port. */
export function hasAgent(config: GuestConfig): boolean {
  const { value, props } = parseProps(String(config["agent"] ?? "0"));
  return (props["enabled"] ?? value) === "1";
}

export function AgentPanel({ at, config }: { at: GuestRef; config: GuestConfig }) {
  return (
    <Panel title="Addresses">
      {hasAgent(config) ? (
        <Addresses at={at} />
      ) : (
        <p className="quiet">
          The guest tells its addresses when its agent is{" "}
          <Link to={guestPath(at, "options")}>switched on</Link>.
        </p>
      )}
    </Panel>
  );
}

function Addresses({ at }: { at: GuestRef }) {
  const { data, error } = useQuery(queries.agentInterfaces(at));
  if (!data && error) {
    const forbidden = error instanceof ApiError && error.status === 403;
    return (
      <p className="quiet">
        {forbidden
          ? "Your account may not ask the guest's agent."
          : `The guest's agent does not answer: ${messageOf(error)}`}
      </p>
    );
  }
  if (!data) return <Skeleton height="3rem" screenreaderText="Asking the guest's agent" />;
  const interfaces = readInterfaces(data.result);
  if (interfaces.length === 0) return <p className="quiet">The guest says that it has no addresses.</p>;
  const facts = interfaces.map(({ name, mac, addresses }) => [
    name,
    <span key={name}>
      {addresses.length === 0 && <span className="quiet">none</span>}
      {addresses.map((address) => (
        <div key={address}>
          <code>{address}</code>
        </div>
      ))}
      {mac && <div className="quiet">{mac}</div>}
    </span>,
  ]);
  return <Facts facts={Object.fromEntries(facts) as Record<string, React.ReactNode>} />;
}
