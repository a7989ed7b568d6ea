/** Time, name servers and host names of a node. */
import { Button, Form, Skeleton, TextArea, TextInput } from "@patternfly/react-core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";
import { api } from "../api/client";
import { fieldsOf } from "../api/error";
import { queries } from "../api/queries";
import type { HostsFile, NodeTime } from "../api/schema";
import { useMay } from "../api/session";
import { ActionButton } from "../components/ActionButton";
import { ErrorNote } from "../components/ErrorNote";
import { Facts } from "../components/Facts";
import { described, FormField } from "../components/FormField";
import { Panel } from "../components/Panel";
import { wallClock } from "../model/format";
import { showToast } from "../shell/toasts";

export function NodeSystem({ node }: { node: string }) {
  return (
    <>
      <div className="columns">
        <Time node={node} />
        <NameServers node={node} />
      </div>
      <Hosts node={node} />
    </>
  );
}

function useWhyNot(): string | undefined {
  return useMay()("nodes", "Sys.Modify") ? undefined : "your account lacks the privilege Sys.Modify";
}

function Time({ node }: { node: string }) {
  const { data: time, error, refetch } = useQuery(queries.time(node));
  return (
    <Panel title="Time">
      {error && !time && (
        <ErrorNote title="The time cannot be read" error={error} onRetry={() => void refetch()} />
      )}
      {!time && !error && <Skeleton height="6rem" screenreaderText="Loading the time" />}
      {time && <TimeForm node={node} time={time} />}
    </Panel>
  );
}

/** Names of time zones that the browser knows, for completion. */
const ZONES: readonly string[] =
  typeof Intl.supportedValuesOf === "function" ? ["UTC", ...Intl.supportedValuesOf("timeZone")] : [];

function TimeForm({ node, time }: { node: string; time: NodeTime }) {
  const [typed, setTyped] = useState<string>();
  const client = useQueryClient();
  const right = useWhyNot();
  const zone = typed ?? time.timezone;
  const job = useMutation({
    mutationFn: () => api.put("/nodes/{node}/time", { node, timezone: zone.trim() }),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ["node", node, "time"] });
      setTyped(undefined);
      showToast({ variant: "success", title: "Saved" });
    },
  });
  const complaint = zone.trim() === "" ? "Enter a time zone." : fieldsOf(job.error)["timezone"];
  const changed = zone.trim() !== time.timezone;
  const because =
    right ?? (!changed ? "nothing was changed" : zone.trim() === "" ? "a field is not right yet" : undefined);

  function submit(event: FormEvent): void {
    event.preventDefault();
    if (because === undefined && !job.isPending) job.mutate();
  }
  return (
    <Form onSubmit={submit} noValidate className="settings">
      {job.error && <ErrorNote title="The change was not saved" error={job.error} />}
      <Facts facts={{ "Local time": wallClock(time.localtime), "Universal time": wallClock(time.time) }} />
      <FormField id="time-zone" label="Time zone" complaint={complaint} hint="Such as Europe/Berlin.">
        <TextInput
          {...described("time-zone", complaint)}
          list="time-zones"
          autoComplete="off"
          isDisabled={right !== undefined}
          value={zone}
          onChange={(_event, value) => setTyped(value)}
        />
        <datalist id="time-zones">
          {ZONES.map((name) => (
            <option key={name} value={name} />
          ))}
        </datalist>
      </FormField>
      <div className="form-actions">
        <ActionButton type="submit" disabledBecause={because} isLoading={job.isPending}>
          Save
        </ActionButton>
      </div>
    </Form>
  );
}

function NameServers({ node }: { node: string }) {
  const { data: dns, error, refetch } = useQuery(queries.dns(node));
  const servers = dns && [dns.dns1, dns.dns2, dns.dns3].filter((server) => server);
  return (
    <Panel title="Name servers">
      {error && !dns && (
        <ErrorNote title="The name servers cannot be read" error={error} onRetry={() => void refetch()} />
      )}
      {(dns || !error) && (
        <Facts
          loading={!dns}
          facts={{
            Servers: servers?.length ? servers.join(", ") : "none",
            "Search domain": dns?.search ?? "none",
          }}
        />
      )}
    </Panel>
  );
}

function Hosts({ node }: { node: string }) {
  const { data: hosts, error, refetch } = useQuery(queries.hosts(node));
  return (
    <Panel title="Host names">
      {error && !hosts && (
        <ErrorNote title="The host names cannot be read" error={error} onRetry={() => void refetch()} />
      )}
      {!hosts && !error && <Skeleton height="8rem" screenreaderText="Loading host names" />}
      {hosts && <HostsForm key={hosts.digest} node={node} hosts={hosts} />}
    </Panel>
  );
}

function HostsForm({ node, hosts }: { node: string; hosts: HostsFile }) {
  const [typed, setTyped] = useState<string>();
  const client = useQueryClient();
  const right = useWhyNot();
  const text = typed ?? hosts.data;
  const reread = () => client.invalidateQueries({ queryKey: ["node", node, "hosts"] });
  const job = useMutation({
    mutationFn: () => api.post("/nodes/{node}/hosts", { node, data: text, digest: hosts.digest }),
    onSuccess: async () => {
      await reread();
      showToast({ variant: "success", title: "Saved" });
    },
  });
  const complaint = fieldsOf(job.error)["data"];
  const changed = text !== hosts.data;
  const because = right ?? (changed ? undefined : "nothing was changed");

  function submit(event: FormEvent): void {
    event.preventDefault();
    if (because === undefined && !job.isPending) job.mutate();
  }
  return (
    <Form onSubmit={submit} noValidate>
      {job.error && <ErrorNote title="The change was not saved" error={job.error} />}
      <FormField
        id="hosts-data"
        label="/etc/hosts"
        complaint={complaint}
        hint="An address and its names in each line."
      >
        <TextArea
          {...described("hosts-data", complaint)}
          className="pem"
          rows={8}
          resizeOrientation="vertical"
          spellCheck={false}
          isDisabled={right !== undefined}
          value={text}
          onChange={(_event, value) => setTyped(value)}
        />
      </FormField>
      <div className="form-actions">
        <ActionButton type="submit" disabledBecause={because} isLoading={job.isPending}>
          Save
        </ActionButton>
        {changed && (
          <Button
            variant="link"
            onClick={() => {
              setTyped(undefined);
              job.reset();
              void reread();
            }}
          >
            Discard
          </Button>
        )}
      </div>
    </Form>
  );
}
