/** Disks that can be made larger. */
import type { GuestConfig, GuestType } from "../api/types";
import { parseProps } from "./propstring";

const GIB = 1024 ** 3;
const UNITS: Record<string, number> = { "": 1, K: 1024, M: 1024 ** 2, G: GIB, T: 1024 ** 4 };

/** Bytes of a size as a configuration writes it: `32G`, `512M`. */
export function readSize(text: string | undefined): number | undefined {
  const [, digits = "", unit = ""] = /^(\d+(?:\.\d+)?)([KMGT]?)$/.exec(text ?? "") ?? [];
  return digits === "" ? undefined : Number(digits) * (UNITS[unit] ?? 1);
}

/** A disk with a volume of its own. */
export interface Disk {
  key: string;
  /** Bytes; undefined where the configuration does not say. */
  size: number | undefined;
}

const DISKS: Record<GuestType, RegExp> = { qemu: /^(virtio|scsi|sata|ide)\d+$/, lxc: /^rootfs$/ };

/** The disk at a key of a configuration, if one that can grow is there. */
export function growable(type: GuestType, config: GuestConfig, key: string): Disk | undefined {
  const { value, props } = parseProps(String(config[key] ?? ""));
  const volume = value ?? props["file"] ?? props["volume"] ?? "";
  const optical = props["media"] === "cdrom" || volume.endsWith(":cloudinit");
  if (!DISKS[type].test(key) || optical || !volume.includes(":")) return undefined;
  return { key, size: readSize(props["size"]) };
}

/** The size in bytes that a disk has with so many GiB more. */
export function grown(size: number, more: number): number {
  return size + more * GIB;
}
