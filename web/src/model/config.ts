/** Editing a guest's configuration: which fields, how they are checked, and the call that saves a change. */
import type { GuestConfig, GuestType } from "../api/types";
import * as check from "./validate";

export interface Setting {
  key: string;
  label: string;
  kind: "text" | "number" | "flag" | "lines" | "volume";
  hint?: string;
  /** Value the server assumes when the key is absent. */
  fallback: string;
  check?: (value: string) => check.Check;
}

const cores: Setting = {
  key: "cores",
  label: "Cores",
  kind: "number",
  fallback: "1",
  check: (v) => check.checkInteger(v, 1, 128),
};
const memory: Setting = {
  key: "memory",
  label: "Memory (MiB)",
  kind: "number",
  fallback: "512",
  check: (v) => check.checkInteger(v, 16, 4_194_304, "MiB"),
};
const swap: Setting = {
  key: "swap",
  label: "Swap (MiB)",
  kind: "number",
  fallback: "512",
  check: (v) => check.checkInteger(v, 0, 4_194_304, "MiB"),
};
const onboot: Setting = { key: "onboot", label: "Start when the host starts", kind: "flag", fallback: "0" };
const notes: Setting = { key: "description", label: "Notes", kind: "lines", fallback: "" };

/** Settings of the Hardware or Resources tab. */
export function sizeSettings(type: GuestType): Setting[] {
  return type === "qemu" ? [cores, memory] : [cores, memory, swap];
}

/** Settings of the Options tab. */
export function optionSettings(type: GuestType): Setting[] {
  const name: Setting = {
    key: type === "qemu" ? "name" : "hostname",
    label: type === "qemu" ? "Name" : "Host name",
    kind: "text",
    fallback: "",
    check: (v) => check.checkHostname(v),
  };
  if (type === "lxc") return [name, onboot, notes];
  return [
    name,
    onboot,
    { key: "kernel", label: "Kernel", kind: "volume", fallback: "" },
    { key: "initrd", label: "Initial RAM disk", kind: "volume", fallback: "" },
    { key: "cmdline", label: "Kernel command line", kind: "text", fallback: "" },
    notes,
  ];
}

/** A setting's present value as the form shows it. */
export function shownValue(config: GuestConfig, setting: Setting): string {
  const value = config[setting.key];
  if (value === undefined) return setting.fallback;
  if (setting.kind === "flag") return Number(value) === 1 ? "1" : "0";
  return String(value).replace(/\n$/, "");
}

/** Parameters that turn `config` into what was edited: only what differs, with the digest it was read at. */
export function changeParams(
  config: GuestConfig,
  settings: readonly Setting[],
  edits: Readonly<Record<string, string>>,
): Record<string, string> {
  const params: Record<string, string> = {};
  const removed: string[] = [];
  for (const setting of settings) {
    const value = edits[setting.key];
    if (value === undefined || value === shownValue(config, setting)) continue;
    if (value === "") removed.push(setting.key);
    else params[setting.key] = value;
  }
  if (removed.length > 0) params["delete"] = removed.join(",");
  if (Object.keys(params).length > 0 && config.digest !== undefined) params["digest"] = String(config.digest);
  return params;
}

const EDITED = new Set(["cores", "memory", "swap", "onboot", "description", "name", "hostname", "digest"]);

/** The rest of the configuration, devices first, as rows to read. */
export function deviceRows(config: GuestConfig): { key: string; value: string }[] {
  const isDevice = (key: string) => /\d+$|^rootfs$/.test(key);
  return Object.entries(config)
    .filter(([key, value]) => !EDITED.has(key) && value !== undefined)
    .map(([key, value]) => ({ key, value: String(value) }))
    .sort((a, b) => Number(isDevice(b.key)) - Number(isDevice(a.key)) || a.key.localeCompare(b.key));
}
