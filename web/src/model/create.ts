/**
 * The forms of the two wizards: their values, their checks, and the call they become.
 *
 * A check names the field it speaks of; the same names receive the server's complaints, see `placeErrors`.
 */
import { printProps } from "./propstring";
import * as check from "./validate";

/** Complaints by form field. */
export type Complaints<F> = Partial<Record<keyof F & string, string>>;

export interface VmForm {
  node: string;
  vmid: string;
  name: string;
  start: boolean;
  onboot: boolean;
  kernel: string;
  initrd: string;
  cmdline: string;
  storage: string;
  source: "new" | "import";
  size: string;
  image: string;
  cores: string;
  memory: string;
  bridge: string;
  mac: string;
}

export interface ContainerForm {
  node: string;
  vmid: string;
  hostname: string;
  password: string;
  repeated: string;
  keys: string;
  start: boolean;
  onboot: boolean;
  template: string;
  storage: string;
  size: string;
  cores: string;
  memory: string;
  swap: string;
  bridge: string;
  addressing: "dhcp" | "static";
  address: string;
  gateway: string;
}

/** The kernel command line that suits a Debian guest with one virtio disk and a serial console. */
export const DEFAULT_CMDLINE = "root=/dev/vda rw console=ttyS0";

/** Everything wrong with the VM form. */
export function checkVm(form: VmForm, taken: readonly number[]): Complaints<VmForm> {
  return compact<VmForm>({
    node: form.node ? undefined : "Choose a node.",
    vmid: check.checkVmid(form.vmid, taken),
    name: check.checkHostname(form.name),
    kernel: form.kernel ? undefined : "Choose the kernel to boot.",
    storage: form.storage ? undefined : "Choose a storage for the disk.",
    size: form.source === "new" ? check.checkInteger(form.size, 1, 16384, "GiB") : undefined,
    image: form.source === "import" && !form.image ? "Choose the image to import." : undefined,
    cores: check.checkInteger(form.cores, 1, 128),
    memory: check.checkInteger(form.memory, 16, 4_194_304, "MiB"),
    bridge: form.bridge ? undefined : "Choose a bridge.",
    mac: check.checkMac(form.mac),
  });
}

/** Everything wrong with the container form. */
export function checkContainer(form: ContainerForm, taken: readonly number[]): Complaints<ContainerForm> {
  const noWayIn = form.password === "" && form.keys.trim() === "";
  const withPassword = form.password !== "" || form.repeated !== "";
  const fixed = form.addressing === "static";
  return compact<ContainerForm>({
    node: form.node ? undefined : "Choose a node.",
    vmid: check.checkVmid(form.vmid, taken),
    hostname: check.checkHostname(form.hostname, "host name"),
    password: noWayIn
      ? "Set a password or give an SSH key; otherwise nobody can log in."
      : withPassword
        ? check.checkPassword(form.password, form.repeated)
        : undefined,
    keys: check.checkSshKeys(form.keys),
    template: form.template ? undefined : "Choose a template.",
    storage: form.storage ? undefined : "Choose a storage for the root disk.",
    size: check.checkInteger(form.size, 1, 16384, "GiB"),
    cores: check.checkInteger(form.cores, 1, 128),
    memory: check.checkInteger(form.memory, 16, 4_194_304, "MiB"),
    swap: check.checkInteger(form.swap, 0, 4_194_304, "MiB"),
    bridge: form.bridge ? undefined : "Choose a bridge.",
    address: fixed ? check.checkCidr(form.address) : undefined,
    gateway: fixed ? check.checkGateway(form.gateway) : undefined,
  });
}

/** A switch as the API takes it; off is the default there, so it is left out. */
function flag(on: boolean): 1 | undefined {
  return on ? 1 : undefined;
}

function compact<F>(complaints: Record<string, string | undefined>): Complaints<F> {
  return Object.fromEntries(
    Object.entries(complaints).filter(([, text]) => text !== undefined),
  ) as Complaints<F>;
}

/** Parameters of `POST /nodes/{node}/qemu`. */
export function vmParams(form: VmForm) {
  const disk =
    form.source === "import"
      ? printProps(`${form.storage}:0`, { "import-from": form.image })
      : `${form.storage}:${Number(form.size)}`;
  return {
    node: form.node,
    vmid: Number(form.vmid),
    name: form.name,
    kernel: form.kernel,
    initrd: form.initrd || undefined,
    cmdline: form.cmdline.trim() || undefined,
    cores: Number(form.cores),
    memory: Number(form.memory),
    virtio0: disk,
    net0: printProps(form.mac ? undefined : "virtio", {
      virtio: form.mac || undefined,
      bridge: form.bridge,
    }),
    serial0: "socket" as const,
    onboot: flag(form.onboot),
    start: flag(form.start),
  };
}

/** Parameters of `POST /nodes/{node}/lxc`. */
export function containerParams(form: ContainerForm) {
  const fixed = form.addressing === "static";
  return {
    node: form.node,
    vmid: Number(form.vmid),
    hostname: form.hostname,
    ostemplate: form.template,
    password: form.password || undefined,
    "ssh-public-keys": form.keys.trim() || undefined,
    rootfs: `${form.storage}:${Number(form.size)}`,
    cores: Number(form.cores),
    memory: Number(form.memory),
    swap: Number(form.swap),
    net0: printProps(undefined, {
      name: "eth0",
      bridge: form.bridge,
      ip: fixed ? form.address : "dhcp",
      gw: fixed ? form.gateway : undefined,
    }),
    unprivileged: 1 as const,
    onboot: flag(form.onboot),
    start: flag(form.start),
  };
}

/** Which form field a parameter of the API belongs to. */
const VM_FIELDS: Record<string, keyof VmForm> = { net0: "bridge" };
const CONTAINER_FIELDS: Record<string, keyof ContainerForm> = {
  ostemplate: "template",
  rootfs: "size",
  "ssh-public-keys": "keys",
};

/** Puts the server's complaints at the form's fields; those without a field come back in `rest`. */
export function placeErrors<F extends object>(
  form: F,
  errors: Readonly<Record<string, string>>,
  names: Record<string, keyof F & string>,
): { placed: Complaints<F>; rest: string[] } {
  const placed: Complaints<F> = {};
  const rest: string[] = [];
  for (const [param, text] of Object.entries(errors)) {
    const field = names[param] ?? (param in form ? (param as keyof F & string) : undefined);
    if (field) placed[field] = text;
    else rest.push(`${param}: ${text}`);
  }
  return { placed, rest };
}

/** `placeErrors` for the VM form: a disk's error goes to the part of the form that is shown. */
export function placeVmErrors(form: VmForm, errors: Readonly<Record<string, string>>) {
  const disk: keyof VmForm = form.source === "import" ? "image" : "size";
  return placeErrors(form, errors, { ...VM_FIELDS, virtio0: disk, "import-from": disk });
}

/** `placeErrors` for the container form. */
export function placeContainerErrors(form: ContainerForm, errors: Readonly<Record<string, string>>) {
  const net: keyof ContainerForm = form.addressing === "static" ? "address" : "bridge";
  return placeErrors(form, errors, { ...CONTAINER_FIELDS, net0: net });
}
