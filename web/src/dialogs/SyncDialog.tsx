/** Brings users and groups of a directory here, after a preview. */
import {
  Alert,
  Button,
  Form,
  Label,
  Modal,
  ModalBody,
  ModalFooter,
  ModalHeader,
  Skeleton,
  Spinner,
} from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { ACCESS } from "../api/accessQueries";
import { api } from "../api/client";
import { queries } from "../api/queries";
import type { Flag } from "../api/types";
import { ErrorNote } from "../components/ErrorNote";
import { SettingField } from "../components/SettingField";
import { useSettings } from "../components/useSettings";
import { readSyncLog, SYNC_SETTINGS, type SyncChange } from "../model/realm";
import { parseProps } from "../model/propstring";
import { exitOutcome, parseUpid } from "../model/upid";
import { useFollowed } from "./followed";

/** A run that was begun. */
interface Run {
  upid: string;
  preview: boolean;
}

interface Options {
  scope: "users" | "groups" | "both";
  "remove-vanished": string;
  "enable-new": Flag;
}

export default function SyncDialog({ realm, onClose }: { realm: string; onClose: () => void }) {
  const { data: config, error, refetch } = useQuery(queries.realm(realm));
  const defaults = parseProps(config?.["sync-defaults-options"] ?? "").props;
  return (
    <Modal variant="medium" isOpen onClose={onClose} aria-labelledby="sync-title">
      <ModalHeader
        title={`Synchronise ${realm}`}
        labelId="sync-title"
        description="Users and groups of the directory come here. A preview says what would change, and changes nothing."
      />
      {config ? (
        <SyncForm realm={realm} defaults={defaults} onClose={onClose} />
      ) : (
        <ModalBody>
          {error ? (
            <ErrorNote title="The realm cannot be read" error={error} onRetry={() => void refetch()} />
          ) : (
            <Skeleton height="12rem" screenreaderText={`Loading the realm ${realm}`} />
          )}
        </ModalBody>
      )}
    </Modal>
  );
}

interface SyncFormProps {
  realm: string;
  defaults: Readonly<Record<string, string>>;
  onClose: () => void;
}

function SyncForm({ realm, defaults, onClose }: SyncFormProps) {
  const [run, setRun] = useState<Run>();
  const [busy, setBusy] = useState(false);
  const start = { scope: defaults["scope"] ?? "both" };
  const job = useMutation({
    mutationFn: async ({ preview, ...options }: Options & { preview: boolean }) => {
      const upid = await api.post("/access/domains/{realm}/sync", {
        realm,
        ...options,
        "dry-run": preview ? 1 : 0,
      });
      return { upid, preview };
    },
    onSuccess: (begun) => {
      setRun(begun);
      setBusy(true);
    },
  });
  const form = useSettings(defaults, SYNC_SETTINGS, job.error, start);
  const pending = job.isPending || busy;
  const begin = (preview: boolean) => {
    const [scope, vanished, enable] = SYNC_SETTINGS.map((setting) => form.value(setting));
    job.mutate({
      preview,
      scope: scope as Options["scope"],
      "remove-vanished": vanished ?? "none",
      "enable-new": enable === "1" ? 1 : 0,
    });
  };
  const previewed = run?.preview && !busy;
  return (
    <>
      <ModalBody>
        <div className="stack">
          {job.error && <ErrorNote title="That was refused" error={job.error} />}
          <Form noValidate onSubmit={(event) => event.preventDefault()}>
            {SYNC_SETTINGS.map((setting) => (
              <SettingField
                key={setting.key}
                setting={setting}
                value={form.value(setting)}
                complaint={form.complaint(setting)}
                isDisabled={pending}
                onChange={(value) => {
                  form.set(setting, value);
                  setRun(undefined);
                }}
              />
            ))}
          </Form>
          {run && <RunResult key={run.upid} run={run} onEnd={() => setBusy(false)} />}
        </div>
      </ModalBody>
      <ModalFooter>
        <Button
          variant={previewed ? "secondary" : "primary"}
          isLoading={pending && Boolean(job.variables?.preview)}
          isDisabled={pending}
          onClick={() => begin(true)}
        >
          Preview
        </Button>
        <Button
          variant={previewed ? "primary" : "secondary"}
          isLoading={pending && job.variables?.preview === false}
          isDisabled={pending}
          onClick={() => begin(false)}
        >
          Synchronise
        </Button>
        <Button variant="link" onClick={onClose}>
          Close
        </Button>
      </ModalFooter>
    </>
  );
}

/** What a run did, or would do, read from its log. */
function RunResult({ run, onEnd }: { run: Run; onEnd: () => void }) {
  const client = useQueryClient();
  const node = parseUpid(run.upid)?.node ?? "";
  const { data, error } = useFollowed({ upid: run.upid, node });
  const ended = data?.status.status === "stopped" || Boolean(error);
  useEffect(() => {
    if (!ended) return;
    onEnd();
    if (!run.preview) void client.invalidateQueries({ queryKey: [ACCESS] });
    // The callback is another one at each rendering; the end comes once.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [ended]);
  if (error) return <ErrorNote title="The outcome cannot be read" error={error} />;
  if (!data || !ended)
    return (
      <p role="status" className="with-icon">
        <Spinner size="md" aria-label="At work" /> The directory is read.
      </p>
    );
  const lines = data.lines.map((line) => line.t);
  const exit = data.status.exitstatus ?? "unknown";
  if (exitOutcome(exit) === "failed")
    return <ErrorNote title={run.preview ? "The preview failed" : "It failed"} error={new Error(exit)} />;
  const { found, changes } = readSyncLog(lines);
  return (
    <>
      <Alert
        isInline
        variant={run.preview ? "info" : "success"}
        title={run.preview ? "Preview: nothing was changed" : "Done"}
      >
        {found && <p>In the directory were {found}.</p>}
        {changes.length === 0 && (run.preview ? "Nothing would change." : "Nothing had to be changed.")}
      </Alert>
      {changes.length > 0 && <Changes changes={changes} />}
    </>
  );
}

const LOOKS: Record<
  SyncChange["action"],
  { text: string; status?: "success" | "info" | "danger" | "warning" }
> = {
  add: { text: "Add", status: "success" },
  update: { text: "Update", status: "info" },
  remove: { text: "Remove", status: "danger" },
  "remove permissions": { text: "Remove permissions", status: "danger" },
  skip: { text: "Left out", status: "warning" },
};

function Changes({ changes }: { changes: readonly SyncChange[] }) {
  return (
    <Table aria-label="Changes" variant="compact" gridBreakPoint="">
      <Thead>
        <Tr>
          <Th>Change</Th>
          <Th>What</Th>
          <Th>Name</Th>
        </Tr>
      </Thead>
      <Tbody>
        {changes.map(({ action, kind, name, reason }) => {
          const { text, status } = LOOKS[action];
          return (
            <Tr key={`${action} ${kind} ${name}`}>
              <Td>
                <Label {...(status ? { status } : {})} variant="outline" isCompact>
                  {text}
                </Label>
              </Td>
              <Td>{kind}</Td>
              <Td modifier="breakWord">
                {name}
                {reason && <div className="quiet">{reason}</div>}
              </Td>
            </Tr>
          );
        })}
      </Tbody>
    </Table>
  );
}
