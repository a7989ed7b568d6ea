/** Which consoles a virtual machine has. */
import type { GuestConfig } from "../api/types";
import { serialPorts, type SerialPort } from "./serial";

export type ConsoleView = "screen" | SerialPort;

function display(config: GuestConfig): string {
  const first = String(config["vga"] ?? "std").split(",")[0] ?? "";
  return first.replace(/^type=/, "");
}

/** Whether a machine of this configuration has a screen. */
export function hasScreen(config: GuestConfig): boolean {
  const type = display(config);
  return type !== "none" && !type.startsWith("serial");
}

/** The consoles to choose from. */
export function views(config: GuestConfig): { view: ConsoleView; name: string }[] {
  const [first, ...more] = serialPorts(config);
  return [
    ...(hasScreen(config) ? [{ view: "screen" as const, name: "Screen" }] : []),
    ...(first ? [{ view: first, name: "Serial console" }] : []),
    ...more.map((view) => ({ view, name: `Serial console (${view})` })),
  ];
}

/**
 * What to show first. A kernel that is booted directly writes to the serial port, unless somebody chose a display
 * for it.
 */
export function firstView(config: GuestConfig): ConsoleView {
  const named = serialPorts(config).find((port) => port === display(config)) ?? "serial0";
  if (!hasScreen(config)) return named;
  return config["vga"] !== undefined || config["kernel"] === undefined ? "screen" : named;
}
