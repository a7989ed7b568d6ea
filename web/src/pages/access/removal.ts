import { useQueryClient } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { ACCESS } from "../../api/accessQueries";
import { openDialog } from "../../dialogs/store";

interface Removal {
  title: string;
  /** What goes with it. */
  body: ReactNode;
  verb?: string;
  run: () => Promise<unknown>;
}

/** Asks, removes, and reads again what may have gone with it. */
export function useRemoval(): (removal: Removal) => void {
  const client = useQueryClient();
  return ({ title, body, verb = "Remove", run }) =>
    openDialog({
      kind: "confirm",
      title,
      body,
      verb,
      danger: true,
      run: async () => {
        await run();
        await client.invalidateQueries({ queryKey: [ACCESS] });
      },
    });
}
