import { Button, Modal, ModalBody, ModalFooter, ModalHeader } from "@patternfly/react-core";
import { useId } from "react";
import { Loaded, type LoadedProps } from "./Loaded";

interface ViewDialogProps<T> extends LoadedProps<T> {
  title: string;
  variant: "small" | "large";
  onClose: () => void;
}

/** A dialog that shows what a query found, and has nothing to be sent off. */
export function ViewDialog<T>({ title, variant, onClose, what, query, children }: ViewDialogProps<T>) {
  const id = useId();
  return (
    <Modal variant={variant} isOpen onClose={onClose} aria-labelledby={id}>
      <ModalHeader title={title} labelId={id} />
      <ModalBody>
        <Loaded what={what} query={query}>
          {children}
        </Loaded>
      </ModalBody>
      <ModalFooter>
        <Button onClick={onClose}>Close</Button>
      </ModalFooter>
    </Modal>
  );
}
