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
  Progress,
  TextInput,
} from "@patternfly/react-core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useRef, useState, type DragEvent, type FormEvent } from "react";
import { fieldsOf } from "../api/error";
import { upload } from "../api/upload";
import { taskWatch } from "../api/watch";
import { ErrorNote } from "../components/ErrorNote";
import { described, FormField } from "../components/FormField";
import { bytes, rate } from "../model/format";
import { guessKind, KINDS, UPLOAD_KINDS, type UploadKind } from "../model/volume";

interface UploadDialogProps {
  node: string;
  storage: string;
  kinds: string[];
  preset?: string | undefined;
  onClose: () => void;
}

interface Sent {
  sent: number;
  total: number;
  perSecond: number;
}

function useUpload({ node, storage, onClose }: UploadDialogProps) {
  const client = useQueryClient();
  const [sent, setSent] = useState<Sent>();
  const abort = useRef<AbortController>(undefined);
  const job = useMutation({
    mutationFn: ({ file, filename, content }: { file: File; filename: string; content: string }) => {
      abort.current = new AbortController();
      const began = performance.now();
      const onProgress = (done: number, total: number) =>
        setSent({ sent: done, total, perSecond: done / Math.max((performance.now() - began) / 1000, 0.2) });
      return upload({ node, storage, content, file, filename, onProgress, signal: abort.current.signal });
    },
    onSuccess: async (upid, { filename }) => {
      taskWatch.track(upid, `Upload ${filename}`);
      await client.invalidateQueries({ queryKey: ["tasks"] });
      void client.invalidateQueries({ queryKey: ["node", node] });
      onClose();
    },
    onSettled: () => setSent(undefined),
  });
  return { job, sent, cancel: () => abort.current?.abort() };
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
            <FilePicker file={file} disabled={job.isPending} onPick={setFile} />
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

function UploadProgress({ sent, total, perSecond }: Sent) {
  const finished = sent >= total;
  return (
    <Progress
      aria-label="Upload progress"
      title={
        finished
          ? "Received; the server is checking it"
          : `${bytes(sent)} of ${bytes(total)} · ${rate(perSecond)}`
      }
      value={total > 0 ? (sent / total) * 100 : 0}
      label={`${Math.floor((sent / Math.max(total, 1)) * 100)} %`}
    />
  );
}

interface FilePickerProps {
  file: File | undefined;
  disabled: boolean;
  onPick: (file: File) => void;
}

/** A place to drop a file on, or to choose one from. */
function FilePicker({ file, disabled, onPick }: FilePickerProps) {
  const [over, setOver] = useState(false);
  function drop(event: DragEvent): void {
    event.preventDefault();
    setOver(false);
    const dropped = event.dataTransfer.files[0];
    if (dropped && !disabled) onPick(dropped);
  }
  return (
    <div
      className={`file-drop ${over ? "file-drop-over" : ""}`}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={drop}
    >
      <input
        id="upload-file"
        type="file"
        disabled={disabled}
        aria-describedby="upload-file-help"
        onChange={(event) => {
          const chosen = event.target.files?.[0];
          if (chosen) onPick(chosen);
        }}
      />
      <span className="quiet">{file ? bytes(file.size) : "or drop it here"}</span>
    </div>
  );
}
