import { Button, Modal, ModalBody, ModalFooter, ModalHeader } from "@patternfly/react-core";
import { useMutation } from "@tanstack/react-query";
import { ErrorNote } from "../components/ErrorNote";
import type { Confirm } from "./store";

/** Asks before something that cannot be taken back. */
export function ConfirmDialog({
  title,
  body,
  verb,
  danger,
  run,
  onClose,
}: Confirm & { onClose: () => void }) {
  const action = useMutation({ mutationFn: run, onSuccess: onClose });
  return (
    <Modal
      variant="small"
      isOpen
      onClose={onClose}
      aria-labelledby="confirm-title"
      aria-describedby="confirm-body"
    >
      <ModalHeader
        title={title}
        labelId="confirm-title"
        {...(danger ? { titleIconVariant: "warning" as const } : {})}
      />
      <ModalBody id="confirm-body">
        <div className="stack">
          <div>{body}</div>
          {action.error && <ErrorNote title="That did not work" error={action.error} />}
        </div>
      </ModalBody>
      <ModalFooter>
        <Button
          variant={danger ? "danger" : "primary"}
          isLoading={action.isPending}
          isDisabled={action.isPending}
          onClick={() => action.mutate()}
        >
          {verb}
        </Button>
        <Button variant="link" onClick={onClose}>
          Cancel
        </Button>
      </ModalFooter>
    </Modal>
  );
}
