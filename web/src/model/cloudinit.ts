/** cloud-init: what a virtual machine tells it, and the drive that it is told by. */
import type { GuestConfig } from "../api/types";
import type { Setting } from "./settings";
import { checkSshKeys, type Check } from "./validate";

/** Reads percent-encoded text; what is none is shown as it is. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function checkUser(name: string): Check {
  return /^[A-Za-z_][\w.-]{0,31}$/.test(name)
    ? undefined
    : "Begin with a letter, then letters, digits, '-', '_' or '.': at most 32.";
}

function checkIp4(value: string): Check {
  const [address = "", prefix = "", ...more] = value.split("/");
  const bytes = address.split(".");
  const plain = bytes.length === 4 && bytes.every((byte) => /^\d{1,3}$/.test(byte) && Number(byte) <= 255);
  const fits = plain && /^\d{1,2}$/.test(prefix) && Number(prefix) <= 32 && more.length === 0;
  return value === "dhcp" || fits
    ? undefined
    : "Enter dhcp, or an address with prefix length, such as 192.0.2.10/24.";
}

function checkIp6(value: string): Check {
  if (value === "auto" || value === "dhcp") return undefined;
  const [, prefix] = /^[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\/(\d{1,3})$/.exec(value) ?? [];
  return prefix !== undefined && Number(prefix) <= 128
    ? undefined
    : "Enter auto, dhcp, or an address with prefix length, such as 2001:db8::10/64.";
}

/** Settings of the user and of the system. */
export const USER_SETTINGS: readonly Setting[] = [
  {
    kind: "text",
    key: "ciuser",
    label: "User",
    fallback: "",
    hint: "Empty for the one of the guest's image, such as debian.",
    check: checkUser,
  },
  {
    kind: "secret",
    key: "cipassword",
    label: "Password",
    fallback: "",
    hint: "Only its hash is kept. Leave it empty to keep what is there.",
  },
  {
    kind: "lines",
    key: "sshkeys",
    label: "SSH public keys",
    fallback: "",
    hint: "One a line.",
    check: checkSshKeys,
    code: { read: decoded, write: encodeURIComponent },
  },
  { kind: "flag", key: "ciupgrade", label: "Bring packages up to date at the first boot", fallback: "1" },
];

/** Settings of name resolution. */
export const DNS_SETTINGS: readonly Setting[] = [
  {
    kind: "text",
    key: "nameserver",
    label: "Name servers",
    fallback: "",
    hint: "Separated by blanks. Empty for those of the host.",
  },
  {
    kind: "text",
    key: "searchdomain",
    label: "Search domain",
    fallback: "",
    hint: "Empty for that of the host.",
  },
];

/** Numbers of the network cards of a configuration. */
export function cards(config: GuestConfig): number[] {
  return Object.keys(config)
    .flatMap((key) => /^net(\d+)$/.exec(key)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
}

/** Settings of one network card's addresses. */
export function cardSettings(card: number): Setting[] {
  const of = `ipconfig${card}`;
  const setting = (name: string, label: string, hint: string, check?: (value: string) => Check): Setting => ({
    kind: "text",
    key: `${of}.${name}`,
    part: { of, name },
    label: `net${card}: ${label}`,
    fallback: "",
    hint,
    ...(check ? { check } : {}),
  });
  return [
    setting("ip", "IPv4", "dhcp, or an address such as 192.0.2.10/24.", checkIp4),
    setting("gw", "IPv4 gateway", "Goes with an address."),
    setting("ip6", "IPv6", "auto, dhcp, or an address such as 2001:db8::10/64.", checkIp6),
    setting("gw6", "IPv6 gateway", "Goes with an address."),
  ];
}

/** Key of the drive that cloud-init is told by, if the machine has one. */
export function cloudDrive(config: GuestConfig): string | undefined {
  return Object.keys(config).find(
    (key) =>
      /^(ide|scsi|sata|virtio)\d+$/.test(key) &&
      /^[^:,]+:([^,]*\/)?(vm-\d+-)?cloudinit(\.\w+)?(,|$)/.test(String(config[key])),
  );
}

/** A free place for that drive. */
export function freeDrive(config: GuestConfig): string | undefined {
  return ["ide2", "ide0", "ide1", "ide3"].find((key) => config[key] === undefined);
}

/** Name of a drive's storage: `local` of `local:100/vm-100-cloudinit.qcow2`. */
export function storageOf(drive: string): string {
  return drive.split(":", 1)[0] ?? "";
}
