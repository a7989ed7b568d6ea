/** Sending a file into a storage. */
import {
  Button,
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
import { fieldsOf } from "../api/error";
import { upload } from "../api/upload";
import { taskWatch } from "../api/watch";
import { ErrorNote } from "../components/ErrorNote";
import { FilePicker } from "../components/FilePicker";
import { described, FormField } from "../components/FormField";
import { UploadProgress, useSending } from "../components/UploadProgress";
import { guessKind, KINDS, UPLOAD_KINDS, type UploadKind } from "../model/volume";

interface UploadDialogProps {
  node: string;
  storage: string;
  kinds: string[];
  preset?: string | undefined;
  onClose: () => void;
}

function useUpload({ node, storage, onClose }: UploadDialogProps) {
  const { sent, sending, cancel } = useSending();
  const client = useQueryClient();
  const job = useMutation({
    mutationFn: ({ file, filename, content }: { file: File; filename: string; content: string }) =>
      sending((onProgress, signal) => upload({ node, storage, content, file, filename, onProgress, signal })),
    onSuccess: async (upid, { filename }) => {
      taskWatch.track(upid, `Upload ${filename}`);
      await client.invalidateQueries({ queryKey: ["tasks"] });
      void client.invalidateQueries({ queryKey: ["node", node] });
      onClose();
    },
  });
  return { job, sent, cancel };
}

export default function UploadDialog(props: UploadDialogProps) {
  const { storage, kinds, preset, onClose } = props;
  const allowed = UPLOAD_KINDS.filter((kind) => kinds.includes(kind));
  const [file, setFile] = useState<File>();
  const [name, setName] = useState<string>();
  const [picked, setPicked] = useState<string | undefined>(preset);
  const [tried, setTried] = useState(false);
  const { job, sent, cancel } = useUpload(props);

  const guessed = file ? guessKind(file.name) : undefined;
  const kind = picked ?? (guessed && allowed.includes(guessed) ? guessed : undefined) ?? allowed[0] ?? "iso";
  const filename = name ?? file?.name ?? "";
  const refused = fieldsOf(job.error);
  const fileComplaint = tried && !file ? "Choose the file to upload." : undefined;
  const nameComplaint =
    refused.filename ?? (/[/\\]/.test(filename) ? "The name must not contain slashes." : undefined);

  function submit(event: FormEvent): void {
    event.preventDefault();
    setTried(true);
    if (file && filename && !job.isPending && !/[/\\]/.test(filename))
      job.mutate({ file, filename, content: kind });
  }
  function close(): void {
    if (job.isPending) cancel();
    onClose();
  }

  return (
    <Modal variant="small" isOpen onClose={close} aria-labelledby="upload-title">
      <ModalHeader title={`Upload to ${storage}`} labelId="upload-title" />
      <ModalBody>
        <Form id="upload-form" onSubmit={submit} noValidate>
          {job.error && <ErrorNote title="The upload failed" error={job.error} />}
          <FormField id="upload-file" label="File" required complaint={fileComplaint ?? refused.tmpfilename}>
            <FilePicker id="upload-file" file={file} disabled={job.isPending} onPick={setFile} />
          </FormField>
          <FormField
            id="upload-kind"
            label="Content kind"
            hint={KINDS[kind as UploadKind].hint}
            complaint={refused.content}
          >
            <FormSelect
              {...described("upload-kind", refused.content)}
              value={kind}
              isDisabled={job.isPending}
              onChange={(_event, value) => setPicked(value)}
            >
              {allowed.map((k) => (
                <FormSelectOption key={k} value={k} label={KINDS[k].name} />
              ))}
            </FormSelect>
          </FormField>
          <FormField id="upload-name" label="Name in the storage" complaint={nameComplaint}>
            <TextInput
              {...described("upload-name", nameComplaint)}
              value={filename}
              isDisabled={job.isPending}
              onChange={(_event, value) => setName(value)}
            />
          </FormField>
          {sent && <UploadProgress {...sent} />}
        </Form>
      </ModalBody>
      <ModalFooter>
        <Button type="submit" form="upload-form" isLoading={job.isPending} isDisabled={job.isPending}>
          Upload
        </Button>
        <Button variant="link" onClick={close}>
          {job.isPending ? "Cancel upload" : "Cancel"}
        </Button>
      </ModalFooter>
    </Modal>
  );
}
