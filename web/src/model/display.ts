/** Which consoles a virtual machine has. */
import type { GuestConfig } from "../api/types";

export type ConsoleView = "screen" | "serial";

/** Whether a machine of this configuration has a screen. */
export function hasScreen(config: GuestConfig): boolean {
  const first = String(config["vga"] ?? "std").split(",")[0] ?? "";
  const type = first.replace(/^type=/, "");
  return type !== "none" && !type.startsWith("serial");
}

/**
 * What to show first. A kernel that is booted directly writes to the serial port, unless somebody chose a display
 * for it.
 */
export function firstView(config: GuestConfig): ConsoleView {
  if (!hasScreen(config)) return "serial";
  return config["vga"] !== undefined || config["kernel"] === undefined ? "screen" : "serial";
}
