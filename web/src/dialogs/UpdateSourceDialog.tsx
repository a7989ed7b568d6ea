/** Where the updates of a node come from. */
import {
  Button,
  Form,
  FormSelect,
  FormSelectOption,
  Modal,
  ModalBody,
  ModalFooter,
  ModalHeader,
  TextArea,
  TextInput,
} from "@patternfly/react-core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";
import { api } from "../api/client";
import { fieldsOf } from "../api/error";
import { queries } from "../api/queries";
import type { UpdateChannel } from "../api/schema";
import { ErrorNote } from "../components/ErrorNote";
import { described, FormField } from "../components/FormField";

export default function UpdateSourceDialog({ node, onClose }: { node: string; onClose: () => void }) {
  const { data: config } = useQuery(queries.updateConfig(node));
  const [typed, setTyped] = useState<string>();
  const [trusted, setTrusted] = useState<string>();
  const [picked, setPicked] = useState<UpdateChannel>();
  const client = useQueryClient();
  const url = typed ?? config?.url ?? "";
  const ca = trusted ?? config?.ca ?? "";
  const channel = picked ?? config?.channel ?? "stable";
  const job = useMutation({
    mutationFn: () =>
      api.put("/nodes/{node}/update/config", { node, url: url.trim(), channel, ca: ca.trim() }),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ["node", node, "update"] });
      onClose();
    },
  });
  const { url: complaint, ca: distrust } = fieldsOf(job.error);

  function submit(event: FormEvent): void {
    event.preventDefault();
    if (!job.isPending) job.mutate();
  }
  return (
    <Modal variant="small" isOpen onClose={onClose} aria-labelledby="update-source-title">
      <ModalHeader title={`Updates of ${node}`} labelId="update-source-title" />
      <ModalBody>
        <Form id="update-source-form" onSubmit={submit} noValidate>
          {job.error && <ErrorNote title="That was refused" error={job.error} />}
          <FormField
            id="update-source-url"
            label="Folder on a web server"
            complaint={complaint}
            hint="It holds stable.json and testing.json. Leave it empty for none."
          >
            <TextInput
              {...described("update-source-url", complaint)}
              type="url"
              value={url}
              onChange={(_event, value) => setTyped(value)}
            />
          </FormField>
          <FormField id="update-source-channel" label="Channel">
            <FormSelect
              {...described("update-source-channel", undefined)}
              value={channel}
              onChange={(_event, value) => setPicked(value as UpdateChannel)}
            >
              <FormSelectOption value="stable" label="stable" />
              <FormSelectOption value="testing" label="testing" />
            </FormSelect>
          </FormField>
          <FormField
            id="update-source-ca"
            label="Authority of the server"
            complaint={distrust}
            hint="Its certificate (PEM), when the server has one of your own. Public ones are known."
          >
            <TextArea
              {...described("update-source-ca", distrust)}
              rows={3}
              resizeOrientation="vertical"
              value={ca}
              onChange={(_event, value) => setTrusted(value)}
            />
          </FormField>
        </Form>
      </ModalBody>
      <ModalFooter>
        <Button type="submit" form="update-source-form" isLoading={job.isPending} isDisabled={job.isPending}>
          Save
        </Button>
        <Button variant="link" onClick={onClose}>
          Cancel
        </Button>
      </ModalFooter>
    </Modal>
  );
}
