/** A dialog with one form: what was refused stands above it, Enter sends it. */
import {
  Button,
  Form,
  Modal,
  ModalBody,
  ModalFooter,
  ModalHeader,
  type ModalProps,
} from "@patternfly/react-core";
import { useId, type FormEvent, type ReactNode } from "react";
import { ErrorNote } from "./ErrorNote";

interface FormDialogProps {
  title: string;
  description?: ReactNode;
  /** Name of the button that sends the form. */
  verb: string;
  danger?: boolean;
  variant?: ModalProps["variant"];
  pending: boolean;
  error: unknown;
  /** Why the form cannot be sent, when no field says it. */
  blocked?: boolean;
  /** More buttons, between the one that sends and Cancel. */
  extra?: ReactNode;
  onSubmit: () => void;
  onClose: () => void;
  children: ReactNode;
}

export function FormDialog({
  title,
  description,
  verb,
  danger,
  variant = "small",
  pending,
  error,
  blocked,
  extra,
  onSubmit,
  onClose,
  children,
}: FormDialogProps) {
  const id = useId();
  function submit(event: FormEvent): void {
    event.preventDefault();
    if (!pending && !blocked) onSubmit();
  }
  return (
    <Modal variant={variant} isOpen onClose={onClose} aria-labelledby={`${id}-title`}>
      <ModalHeader title={title} labelId={`${id}-title`} description={description} />
      <ModalBody>
        <Form id={`${id}-form`} onSubmit={submit} noValidate>
          {error ? <ErrorNote title="That was refused" error={error} /> : null}
          {children}
        </Form>
      </ModalBody>
      <ModalFooter>
        <Button
          type="submit"
          form={`${id}-form`}
          variant={danger ? "danger" : "primary"}
          isLoading={pending}
          isDisabled={pending || Boolean(blocked)}
        >
          {verb}
        </Button>
        {extra}
        <Button variant="link" onClick={onClose}>
          Cancel
        </Button>
      </ModalFooter>
    </Modal>
  );
}
