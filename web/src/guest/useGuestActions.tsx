/** Doing things to guests: one way for buttons, menus and the tree. */
import { useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "react-router";
import { api } from "../api/client";
import { messageOf } from "../api/error";
import { useMay } from "../api/session";
import { taskWatch } from "../api/watch";
import { openDialog } from "../dialogs/store";
import { ACTION_NAMES, guestPath, shortName, whyNot, type Guest, type GuestAction } from "../model/guest";
import { showToast } from "../shell/toasts";

type Power = "start" | "shutdown" | "reboot" | "stop" | "pause" | "suspend" | "resume";

function power(guest: Guest, action: Power): Promise<string> {
  const where = { node: guest.node, vmid: guest.vmid };
  if (action === "pause" || action === "suspend")
    return api.post(`/nodes/{node}/qemu/{vmid}/status/suspend`, {
      ...where,
      todisk: action === "suspend" ? 1 : 0,
    });
  if (action === "resume") return api.post(`/nodes/{node}/qemu/{vmid}/status/resume`, where);
  return api.post(`/nodes/{node}/${guest.type}/{vmid}/status/${action}`, where);
}

function remove(guest: Guest): Promise<string> {
  return api.delete(`/nodes/{node}/${guest.type}/{vmid}`, {
    node: guest.node,
    vmid: guest.vmid,
    purge: 1,
  });
}

/** A guest's actions and why one is not on offer. */
export function useGuestActions() {
  const client = useQueryClient();
  const navigate = useNavigate();
  const may = useMay();

  async function run(guest: Guest, action: Exclude<GuestAction, "console">): Promise<void> {
    const upid = action === "delete" ? await remove(guest) : await power(guest, action);
    taskWatch.track(upid, `${ACTION_NAMES[action]} ${shortName(guest)} (${guest.name})`);
    await client.invalidateQueries({ queryKey: ["tasks"] });
    if (action === "delete") void navigate("/");
  }

  function runOrSay(guest: Guest, action: Power): void {
    run(guest, action).catch((error: unknown) =>
      showToast({
        variant: "danger",
        title: `${shortName(guest)}: ${ACTION_NAMES[action].toLowerCase()} failed`,
        body: messageOf(error),
      }),
    );
  }

  /** Begins an action, after asking when it may lose something. */
  function act(guest: Guest, action: GuestAction): void {
    const title = `${shortName(guest)} (${guest.name})`;
    switch (action) {
      case "console":
        void navigate(guestPath(guest, "console"));
        return;
      case "stop":
        if (guest.lock === "suspended") {
          openDialog({
            kind: "confirm",
            title: `Discard the state of ${title}?`,
            body: "It does not go on from where it was suspended, but boots anew. What the guest had not written to its disk is lost.",
            verb: "Discard",
            danger: true,
            run: () => run(guest, "stop"),
          });
          return;
        }
        openDialog({
          kind: "confirm",
          title: `Stop ${title}?`,
          body: "This is like pulling the plug: what the guest has not written to its disk is lost. Shut down lets it finish first.",
          verb: "Stop",
          danger: true,
          run: () => run(guest, "stop"),
        });
        return;
      case "delete":
        openDialog({
          kind: "confirm",
          title: `Delete ${title}?`,
          body: "Its configuration and all its disks are removed. This cannot be undone.",
          verb: "Delete",
          danger: true,
          run: () => run(guest, "delete"),
        });
        return;
      case "start":
      case "shutdown":
      case "reboot":
      case "pause":
      case "suspend":
      case "resume":
        runOrSay(guest, action);
    }
  }

  return { act, whyNot: (guest: Guest, action: GuestAction) => whyNot(guest, action, may) };
}
