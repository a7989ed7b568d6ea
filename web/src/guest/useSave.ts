import { useMutation, useQueryClient } from "@tanstack/react-query";
import { api } from "../api/client";
import type { GuestRef } from "../model/guest";
import { showToast } from "../shell/toasts";

/** Saves a change of a guest's configuration, and reads the guest again. */
export function useSave(at: GuestRef) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (change: Record<string, string>) =>
      api.put(`/nodes/{node}/${at.type}/{vmid}/config`, { ...change, node: at.node, vmid: at.vmid }),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ["guest", at.type, at.vmid] });
      void client.invalidateQueries({ queryKey: ["resources"] });
      showToast({ variant: "success", title: "Saved" });
    },
  });
}
