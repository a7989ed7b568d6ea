/** Where a machine's screen is: asks for a ticket, which is also the password of VNC. */
import { api } from "../api/client";
import type { GuestRef } from "../model/guest";
import { consoleUrl } from "./connection";

export interface ScreenAddress {
  url: string;
  password: string;
}

export async function prepareScreen(guest: GuestRef): Promise<ScreenAddress> {
  const where = { node: guest.node, vmid: guest.vmid, websocket: 1 as const };
  const proxy = await api.post("/nodes/{node}/qemu/{vmid}/vncproxy", where);
  return { url: consoleUrl(guest, proxy), password: proxy.ticket };
}
