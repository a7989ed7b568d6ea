/**
 * One console connection: asks for a ticket, opens the WebSocket, greets, then carries bytes both ways.
 *
 * Knows nothing of terminals; `Terminal.tsx` plugs one in through `ConsoleEvents`.
 */
import { api } from "../api/client";
import { BASE, encodeParams, fillPath } from "../api/encode";
import { messageOf } from "../api/error";
import type { ConsoleTicket } from "../api/types";
import type { GuestRef } from "../model/guest";
import type { SerialPort } from "../model/serial";
import {
  binaryFrame,
  greeting,
  inputFrame,
  KEEP_ALIVE,
  readHandshake,
  resizeFrame,
} from "../model/termproxy";

export interface ConsoleEvents {
  /** The server accepted us; input may be sent. */
  onOpen: () => void;
  onData: (bytes: Uint8Array) => void;
  /** The connection is over, for the reason given in words. Called once. */
  onClose: (reason: string) => void;
}

const KEEP_ALIVE_MS = 25_000;

/** The WebSocket's address for a ticket. */
export function consoleUrl(
  guest: GuestRef,
  proxy: Pick<ConsoleTicket, "port" | "ticket">,
  origin = window.location.origin,
): string {
  const { path } = fillPath(`/nodes/{node}/${guest.type}/{vmid}/vncwebsocket`, {
    node: guest.node,
    vmid: guest.vmid,
  });
  const query = encodeParams({ port: proxy.port, vncticket: proxy.ticket });
  return `${origin.replace(/^http/, "ws")}${BASE}${path}?${query.toString()}`;
}

export class ConsoleConnection {
  private socket: WebSocket | undefined;
  private timer: ReturnType<typeof setInterval> | undefined;
  private greeted = false;
  private over = false;

  constructor(
    private readonly guest: GuestRef,
    private readonly events: ConsoleEvents,
    /** Which of a machine's serial ports; its console, if none is named. */
    private readonly port?: SerialPort,
  ) {}

  /** Opens the connection; failures are reported through `onClose`. */
  async open(): Promise<void> {
    try {
      const proxy = await this.prepare();
      if (!this.over) this.connect(proxy);
    } catch (error) {
      this.end(messageOf(error));
    }
  }

  send(data: string): void {
    this.transmit(inputFrame(data));
  }

  sendBinary(data: string): void {
    this.transmit(binaryFrame(data));
  }

  resize(columns: number, rows: number): void {
    this.transmit(resizeFrame(columns, rows));
  }

  /** Ends the connection from our side, without a report. */
  close(): void {
    this.over = true;
    clearInterval(this.timer);
    this.socket?.close();
  }

  private prepare(): Promise<ConsoleTicket> {
    const { node, type, vmid } = this.guest;
    if (this.port === undefined) return api.post(`/nodes/{node}/${type}/{vmid}/termproxy`, { node, vmid });
    return api.post("/nodes/{node}/qemu/{vmid}/termproxy", { node, vmid, serial: this.port });
  }

  private connect(proxy: ConsoleTicket): void {
    const socket = new WebSocket(consoleUrl(this.guest, proxy));
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    let head = new Uint8Array();
    socket.onopen = () => socket.send(greeting(proxy.user, proxy.ticket));
    socket.onmessage = (event: MessageEvent<ArrayBuffer | string>) => {
      const bytes =
        typeof event.data === "string" ? new TextEncoder().encode(event.data) : new Uint8Array(event.data);
      if (this.greeted) return this.events.onData(bytes);
      head = new Uint8Array([...head, ...bytes]);
      this.shake(head);
    };
    socket.onclose = (event) => this.end(event.reason || "The connection was closed.");
    socket.onerror = () => this.end("The connection broke.");
  }

  private shake(head: Uint8Array): void {
    const answer = readHandshake(head);
    if (!answer.done) return;
    if (!answer.ok) {
      this.socket?.close();
      return this.end("The console refused its ticket.");
    }
    this.greeted = true;
    this.timer = setInterval(() => this.transmit(KEEP_ALIVE), KEEP_ALIVE_MS);
    this.events.onOpen();
    if (answer.rest.length > 0) this.events.onData(answer.rest);
  }

  private transmit(frame: string | Uint8Array<ArrayBuffer>): void {
    if (this.greeted && this.socket?.readyState === WebSocket.OPEN) this.socket.send(frame);
  }

  private end(reason: string): void {
    if (this.over) return;
    this.close();
    this.events.onClose(reason);
  }
}
