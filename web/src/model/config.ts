/** The settings of a guest's configuration that forms edit, by tab. */
import type { GuestConfig, GuestType } from "../api/types";
import type { Setting } from "./settings";
import * as check from "./validate";

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

/** Processors of a virtual machine, and its memory besides its size. */
const machine: readonly Setting[] = [
  {
    key: "sockets",
    label: "Sockets",
    kind: "number",
    fallback: "1",
    check: (v) => check.checkInteger(v, 1, 64),
  },
  {
    key: "vcpus",
    label: "Processors at the start",
    kind: "number",
    fallback: "",
    hint: "Empty for all that cores and sockets make. More can come later, if processors are plugged while it runs.",
    check: (v) => check.checkInteger(v, 1, 64),
  },
  {
    key: "cpu.cputype",
    part: { of: "cpu", name: "cputype", front: true },
    label: "Processor",
    kind: "cpu",
    fallback: "host",
    hint: "A level is the same on other machines; host has all that this one has.",
  },
  {
    key: "cpu.hidden",
    part: { of: "cpu", name: "hidden" },
    label: "Hide from the guest that it is a virtual machine of KVM",
    kind: "flag",
    fallback: "0",
  },
];

const balloon: Setting = {
  key: "balloon",
  label: "Memory that the guest is asked to make do with (MiB)",
  kind: "number",
  fallback: "",
  hint: "Through its balloon. Empty for all of its memory; 0 takes the balloon away.",
  check: (v) => check.checkInteger(v, 0, 4_194_304, "MiB"),
};

/** Settings of the Hardware or Resources tab. */
export function sizeSettings(type: GuestType): Setting[] {
  return type === "qemu" ? [cores, ...machine, memory, balloon] : [cores, memory, swap];
}

const hotplug: Setting = {
  key: "hotplug",
  label: "Changes at once while the machine runs",
  kind: "several",
  fallback: "network,disk,usb",
  separator: ",",
  none: "0",
  hint: "Everything else waits for the next start.",
  options: [
    { value: "network", label: "Network cards" },
    { value: "disk", label: "Disks" },
    { value: "cpu", label: "Processors" },
    { value: "cloudinit", label: "What cloud-init is told" },
  ],
};

const agent: Setting = {
  key: "agent.enabled",
  part: { of: "agent", name: "enabled", front: true },
  label: "Guest agent",
  kind: "flag",
  fallback: "0",
  hint: "The guest has the agent's port: it tells its addresses, and shutdowns go through it. Install qemu-guest-agent there.",
};

const vsock: Setting = {
  key: "vsock",
  label: "Sockets between host and guest",
  kind: "flag",
  fallback: "0",
  hint: "Programs reach each other by AF_VSOCK, without a network: ssh vsock/100 on the host reaches machine 100.",
};

/** Settings of the Options tab. */
export function optionSettings(type: GuestType): Setting[] {
  const name: Setting = {
    key: type === "qemu" ? "name" : "hostname",
    label: type === "qemu" ? "Name" : "Host name",
    kind: "text",
    fallback: "",
    required: true,
    check: (v) => check.checkHostname(v),
  };
  if (type === "lxc") return [name, onboot, notes];
  return [
    name,
    onboot,
    agent,
    vsock,
    hotplug,
    { key: "kernel", label: "Kernel", kind: "volume", fallback: "" },
    { key: "initrd", label: "Initial RAM disk", kind: "volume", fallback: "" },
    { key: "cmdline", label: "Kernel command line", kind: "text", fallback: "" },
    notes,
  ];
}

/** Keys that are edited in forms, or shown elsewhere. */
const SHOWN: Record<GuestType, ReadonlySet<string>> = {
  qemu: new Set([
    ...["name", "description", "digest", "onboot", "cores", "sockets", "vcpus", "cpu", "memory", "balloon"],
    ...["hotplug", "agent", "efidisk0", "tpmstate0", "ciuser", "cipassword", "sshkeys", "nameserver"],
    ...["searchdomain", "ciupgrade", "citype", "vsock"],
  ]),
  lxc: new Set(["hostname", "description", "digest", "onboot", "cores", "memory", "swap"]),
};

/** The rest of the configuration, devices first, as rows to read. */
export function deviceRows(type: GuestType, config: GuestConfig): { key: string; value: string }[] {
  const isDevice = (key: string) => /\d+$|^rootfs$/.test(key);
  return Object.entries(config)
    .filter(
      ([key, value]) => !SHOWN[type].has(key) && !/^(ipconfig|serial)\d+$/.test(key) && value !== undefined,
    )
    .map(([key, value]) => ({ key, value: String(value) }))
    .sort((a, b) => Number(isDevice(b.key)) - Number(isDevice(a.key)) || a.key.localeCompare(b.key));
}

const MACHINE_RIGHTS: Record<string, string> = {
  cores: "VM.Config.CPU",
  sockets: "VM.Config.CPU",
  cpu: "VM.Config.CPU",
  memory: "VM.Config.Memory",
  balloon: "VM.Config.Memory",
  kernel: "VM.Config.HWType",
  initrd: "VM.Config.HWType",
  cmdline: "VM.Config.HWType",
  vsock: "VM.Config.HWType",
  cipassword: "VM.Config.Cloudinit",
  ciupgrade: "VM.Config.Cloudinit",
  ciuser: "VM.Config.Cloudinit",
  nameserver: "VM.Config.Cloudinit",
  searchdomain: "VM.Config.Cloudinit",
  sshkeys: "VM.Config.Cloudinit",
};

const CONTAINER_RIGHTS: Record<string, string> = {
  cores: "VM.Config.CPU",
  swap: "VM.Config.Memory",
  memory: "VM.Config.Memory",
  hostname: "VM.Config.Network",
};

/** The privilege that a change of a setting takes. */
export function privilegeFor(type: GuestType, setting: Setting): string {
  const key = setting.part?.of ?? setting.key;
  if (/^ipconfig\d+$/.test(key)) return "VM.Config.Cloudinit";
  return (type === "qemu" ? MACHINE_RIGHTS : CONTAINER_RIGHTS)[key] ?? "VM.Config.Options";
}
