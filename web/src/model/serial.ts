/** Serial ports of a virtual machine. */
import type { GuestConfig } from "../api/types";

export const SERIAL_PORTS = ["serial0", "serial1", "serial2", "serial3"] as const;
export type SerialPort = (typeof SERIAL_PORTS)[number];

/** The ports that a machine of this configuration has; the first is always there. */
export function serialPorts(config: GuestConfig): SerialPort[] {
  return SERIAL_PORTS.filter((port, index) => index === 0 || config[port] !== undefined);
}

/** What Windows and Linux call a port. */
export function namesInGuest(port: SerialPort): string {
  const index = SERIAL_PORTS.indexOf(port);
  return `COM${index + 1}, ttyS${index}`;
}
