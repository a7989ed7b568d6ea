/** Volumes and content kinds of a storage. */
import type { Volume } from "../api/types";

export type ContentKind = Volume["content"];

interface KindInfo {
  name: string;
  /** What belongs here, for empty states and the upload form. */
  hint: string;
  /** File endings that suggest this kind; empty when nothing can be uploaded into it. */
  endings: RegExp | undefined;
}

export const KINDS: Record<ContentKind, KindInfo> = {
  iso: { name: "ISO images", hint: "Installation media, ending in .iso or .img.", endings: /\.(iso|img)$/i },
  vztmpl: {
    name: "Container templates",
    hint: "Root file system archives for containers, ending in .tar.gz, .tar.xz or .tar.zst.",
    endings: /\.tar(\.(gz|xz|zst))?$/i,
  },
  import: {
    name: "Disk images",
    hint: "Disk images to import into a virtual machine, ending in .raw, .qcow2 or .vmdk.",
    endings: /\.(raw|qcow2|vmdk|ova)$/i,
  },
  kernel: {
    name: "Kernels",
    hint: "Linux kernels and initial RAM disks for direct boot, such as vmlinuz-… and initrd.img-….",
    endings: /^(vmlinuz|vmlinux|bzimage|initrd|initramfs)/i,
  },
  images: { name: "VM disks", hint: "Disks of virtual machines.", endings: undefined },
  rootdir: { name: "Container disks", hint: "Root file systems of containers.", endings: undefined },
  backup: { name: "Backups", hint: "Backups of guests.", endings: undefined },
  snippets: { name: "Snippets", hint: "Small files used by guests.", endings: undefined },
};

/** Kinds that can be uploaded. */
export const UPLOAD_KINDS = ["iso", "vztmpl", "import", "kernel"] as const satisfies readonly ContentKind[];
export type UploadKind = (typeof UPLOAD_KINDS)[number];

/** A kind's name; the raw word for kinds we do not know. */
export function kindLabel(kind: string): string {
  return (KINDS as Record<string, KindInfo | undefined>)[kind]?.name ?? kind;
}

/** Guess of the content kind from a file's name. */
export function guessKind(filename: string): UploadKind | undefined {
  const order: UploadKind[] = ["kernel", "vztmpl", "import", "iso"];
  return order.find((kind) => KINDS[kind].endings?.test(filename));
}

/** The parts of `storage:kind/file`. */
export function splitVolid(volid: string): { storage: string; path: string; file: string } {
  const at = volid.indexOf(":");
  const path = volid.slice(at + 1);
  return { storage: volid.slice(0, Math.max(at, 0)), path, file: path.slice(path.lastIndexOf("/") + 1) };
}

/** Splits a storage's `content` list. */
export function contentKinds(list: string | undefined): string[] {
  return (list ?? "").split(/[,;\s]+/).filter(Boolean);
}
