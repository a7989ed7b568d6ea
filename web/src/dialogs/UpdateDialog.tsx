/** Installing an update from a file of the user, or from an address. */
import {
  Button,
  Checkbox,
  Form,
  FormSelect,
  FormSelectOption,
  Modal,
  ModalBody,
  ModalFooter,
  ModalHeader,
  TextInput,
} from "@patternfly/react-core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";
import { api } from "../api/client";
import { fieldsOf } from "../api/error";
import type { Flag } from "../api/types";
import { uploadUpdate } from "../api/upload";
import { taskWatch } from "../api/watch";
import { ErrorNote } from "../components/ErrorNote";
import { FilePicker } from "../components/FilePicker";
import { described, FormField } from "../components/FormField";
import { UploadProgress, useSending } from "../components/UploadProgress";

interface Wanted {
  file: File | undefined;
  url: string | undefined;
  downgrade: boolean;
  reboot: boolean;
}

const flag = (on: boolean): Flag => (on ? 1 : 0);

function useInstall(node: string, onClose: () => void) {
  const { sent, sending, cancel } = useSending();
  const client = useQueryClient();
  const job = useMutation({
    mutationFn: ({ file, url, downgrade, reboot }: Wanted) => {
      if (!file) {
        const what = { node, url: url ?? "", "allow-downgrade": flag(downgrade), reboot: flag(reboot) };
        return api.post("/nodes/{node}/update/install", what);
      }
      const options = { "allow-downgrade": downgrade ? "1" : "0", reboot: reboot ? "1" : "0" };
      return sending((onProgress, signal) =>
        uploadUpdate({ node, file, filename: file.name, onProgress, signal }, options),
      );
    },
    onSuccess: async (upid) => {
      taskWatch.track(upid, "Install an update");
      await client.invalidateQueries({ queryKey: ["tasks"] });
      onClose();
    },
  });
  return { job, sent, cancel };
}

export default function UpdateDialog({ node, onClose }: { node: string; onClose: () => void }) {
  const [from, setFrom] = useState("file");
  const [file, setFile] = useState<File>();
  const [url, setUrl] = useState("");
  const [downgrade, setDowngrade] = useState(false);
  const [reboot, setReboot] = useState(false);
  const [tried, setTried] = useState(false);
  const { job, sent, cancel } = useInstall(node, onClose);
  const refused = fieldsOf(job.error);
  const complaint =
    tried && (from === "file" ? !file : url === "")
      ? from === "file"
        ? "Choose the bundle."
        : "Give the address of the bundle."
      : refused.url;

  function submit(event: FormEvent): void {
    event.preventDefault();
    setTried(true);
    if (job.isPending || (from === "file" ? !file : url === "")) return;
    job.mutate({ file: from === "file" ? file : undefined, url, downgrade, reboot });
  }
  function close(): void {
    if (job.isPending) cancel();
    onClose();
  }
  return (
    <Modal variant="small" isOpen onClose={close} aria-labelledby="update-title">
      <ModalHeader
        title={`Update ${node}`}
        labelId="update-title"
        description="The bundle goes to the slot that does not run. A version that is not healthy is undone by itself."
      />
      <ModalBody>
        <Form id="update-form" onSubmit={submit} noValidate>
          {job.error && <ErrorNote title="The update was refused" error={job.error} />}
          <FormField id="update-from" label="From">
            <FormSelect
              {...described("update-from", undefined)}
              value={from}
              isDisabled={job.isPending}
              onChange={(_event, value) => setFrom(value)}
            >
              <FormSelectOption value="file" label="A file on this computer" />
              <FormSelectOption value="url" label="A web address" />
            </FormSelect>
          </FormField>
          {from === "file" ? (
            <FormField id="update-file" label="Bundle" required complaint={complaint}>
              <FilePicker id="update-file" file={file} disabled={job.isPending} onPick={setFile} />
            </FormField>
          ) : (
            <FormField id="update-url" label="Address of the bundle" required complaint={complaint}>
              <TextInput
                {...described("update-url", complaint)}
                type="url"
                value={url}
                isDisabled={job.isPending}
                onChange={(_event, value) => setUrl(value)}
              />
            </FormField>
          )}
          <Checkbox
            id="update-reboot"
            label="Reboot into it at once"
            description="Guests are shut down first."
            isChecked={reboot}
            onChange={(_event, checked) => setReboot(checked)}
          />
          <Checkbox
            id="update-downgrade"
            label="Also install an older version"
            isChecked={downgrade}
            onChange={(_event, checked) => setDowngrade(checked)}
          />
          {sent && <UploadProgress {...sent} />}
        </Form>
      </ModalBody>
      <ModalFooter>
        <Button type="submit" form="update-form" isLoading={job.isPending} isDisabled={job.isPending}>
          Install
        </Button>
        <Button variant="link" onClick={close}>
          {job.isPending && from === "file" ? "Cancel upload" : "Cancel"}
        </Button>
      </ModalFooter>
    </Modal>
  );
}
