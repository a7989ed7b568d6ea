import { useMay } from "../api/session";
import { openDialog } from "../dialogs/store";
import { ActionButton } from "./ActionButton";

/** The two ways to make a guest. */
export function CreateButtons({ node, size = "default" }: { node?: string; size?: "sm" | "default" }) {
  const may = useMay();
  const because = may("vms", "VM.Allocate") ? undefined : "your account lacks the privilege VM.Allocate";
  return (
    <>
      <ActionButton
        variant="primary"
        size={size}
        disabledBecause={because}
        onClick={() => openDialog({ kind: "create-vm", node })}
      >
        Create VM
      </ActionButton>
      <ActionButton
        variant="secondary"
        size={size}
        disabledBecause={because}
        onClick={() => openDialog({ kind: "create-container", node })}
      >
        Create container
      </ActionButton>
    </>
  );
}
