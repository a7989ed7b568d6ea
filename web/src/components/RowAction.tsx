import type { ReactNode } from "react";
import { ActionButton } from "./ActionButton";

interface RowActionProps {
  /** What it does, and to which row. */
  label: string;
  icon: ReactNode;
  /** Why it cannot be done, as the end of "Disabled, because …". */
  because: string | undefined;
  onClick: () => void;
}

/** A button of a table's row: a picture with a name. */
export function RowAction({ label, icon, because, onClick }: RowActionProps) {
  return (
    <ActionButton
      variant="plain"
      size="sm"
      aria-label={label}
      icon={icon}
      disabledBecause={because}
      onClick={onClick}
    />
  );
}
