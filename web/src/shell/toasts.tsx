/** Short messages in the corner: what ended, what failed. */
import { Alert, AlertActionCloseButton, AlertGroup } from "@patternfly/react-core";
import { useSyncExternalStore, type ReactNode } from "react";

export interface Toast {
  id: number;
  variant: "success" | "warning" | "danger" | "info";
  title: string;
  body?: ReactNode;
}

let toasts: readonly Toast[] = [];
let nextId = 1;
const listeners = new Set<() => void>();

function change(next: readonly Toast[]): void {
  toasts = next;
  for (const listener of listeners) listener();
}

/** Shows a message. Bad news stays until it is closed. */
export function showToast(toast: Omit<Toast, "id">): void {
  change([...toasts.slice(-4), { ...toast, id: nextId++ }]);
}

function close(id: number): void {
  change(toasts.filter((toast) => toast.id !== id));
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The corner itself; once, in the shell. */
export function Toasts() {
  const shown = useSyncExternalStore(subscribe, () => toasts);
  return (
    <AlertGroup isToast isLiveRegion>
      {shown.map(({ id, variant, title, body }) => (
        <Alert
          key={id}
          variant={variant}
          title={title}
          timeout={variant === "danger" ? false : 6000}
          onTimeout={() => close(id)}
          actionClose={<AlertActionCloseButton title={title} onClose={() => close(id)} />}
        >
          {body}
        </Alert>
      ))}
    </AlertGroup>
  );
}
