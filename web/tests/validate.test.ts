import { describe, expect, it } from "vitest";
import {
  checkContainer,
  checkVm,
  containerParams,
  placeContainerErrors,
  placeVmErrors,
  vmParams,
  type ContainerForm,
  type VmForm,
} from "../src/model/create";
import * as check from "../src/model/validate";

const vm: VmForm = {
  node: "a",
  vmid: "100",
  name: "web",
  start: true,
  onboot: false,
  kernel: "local:kernel/vmlinuz",
  initrd: "",
  cmdline: "root=/dev/vda rw console=ttyS0",
  storage: "local",
  source: "import",
  size: "8",
  image: "local:import/d.raw",
  cores: "2",
  memory: "1024",
  bridge: "vmbr0",
  mac: "",
};

const container: ContainerForm = {
  node: "a",
  vmid: "101",
  hostname: "dns",
  password: "secret",
  repeated: "secret",
  keys: "",
  start: true,
  onboot: true,
  template: "local:vztmpl/d.tar.zst",
  storage: "local",
  size: "4",
  cores: "1",
  memory: "512",
  swap: "0",
  bridge: "vmbr0",
  addressing: "dhcp",
  address: "",
  gateway: "",
};

describe("fields", () => {
  it("accept what is right", () => {
    expect(check.checkHostname("web-1.example")).toBeUndefined();
    expect(check.checkVmid("100", [101])).toBeUndefined();
    expect(check.checkCidr("192.0.2.10/24")).toBeUndefined();
    expect(check.checkGateway("")).toBeUndefined();
    expect(check.checkMac("52:54:00:ab:cd:ef")).toBeUndefined();
    expect(check.checkSshKeys("ssh-ed25519 AAAAC3Nza me@host\n\n# note")).toBeUndefined();
  });

  it("name what is wrong", () => {
    expect(check.checkHostname("")).toBe("Enter a name.");
    expect(check.checkHostname("-x")).toContain("letters, digits and hyphens");
    expect(check.checkHostname("a..b")).toContain("empty part");
    expect(check.checkVmid("99", [])).toContain("between 100");
    expect(check.checkVmid("100", [100])).toBe("100 is already in use.");
    expect(check.checkInteger("1.5", 1, 4)).toContain("whole number from 1 to 4");
    expect(check.checkPassword("abc", "abc")).toContain("at least 5");
    expect(check.checkPassword("abcde", "abcdf")).toBe("The two passwords differ.");
    expect(check.checkSshKeys("ssh-ed25519 AAAA\nhello")).toBe("Line 2 is no OpenSSH public key.");
    expect(check.checkCidr("192.0.2.300/24")).toBeDefined();
    expect(check.checkCidr("192.0.2.1")).toBeDefined();
    expect(check.checkMac("53:54:00:ab:cd:ef")).toContain("multicast");
  });
});

describe("virtual machine form", () => {
  it("is right when complete", () => {
    expect(checkVm(vm, [])).toEqual({});
  });

  it("asks only for the kind of disk chosen", () => {
    expect(checkVm({ ...vm, image: "", size: "x" }, [])).toEqual({ image: "Choose the image to import." });
    expect(Object.keys(checkVm({ ...vm, source: "new", image: "", size: "x" }, []))).toEqual(["size"]);
  });

  it("becomes the call", () => {
    expect(vmParams(vm)).toMatchObject({
      vmid: 100,
      virtio0: "local:0,import-from=local:import/d.raw",
      net0: "virtio,bridge=vmbr0",
      initrd: undefined,
      start: 1,
      onboot: undefined,
    });
    expect(vmParams({ ...vm, source: "new", mac: "52:54:00:00:00:01" })).toMatchObject({
      virtio0: "local:8",
      net0: "virtio=52:54:00:00:00:01,bridge=vmbr0",
    });
  });

  it("takes the server's complaints to its fields", () => {
    const { placed, rest } = placeVmErrors(vm, { name: "taken", virtio0: "too small", odd: "hm" });
    expect(placed).toEqual({ name: "taken", image: "too small" });
    expect(rest).toEqual(["odd: hm"]);
  });
});

describe("container form", () => {
  it("is right when complete", () => {
    expect(checkContainer(container, [])).toEqual({});
  });

  it("wants a way in: password or key", () => {
    const closed = { ...container, password: "", repeated: "" };
    expect(checkContainer(closed, []).password).toContain("SSH key");
    expect(checkContainer({ ...closed, keys: "ssh-ed25519 AAAA" }, [])).toEqual({});
  });

  it("checks addresses only when they are static", () => {
    expect(Object.keys(checkContainer({ ...container, addressing: "static", gateway: "x" }, []))).toEqual([
      "address",
      "gateway",
    ]);
  });

  it("becomes the call", () => {
    expect(containerParams(container)).toMatchObject({
      vmid: 101,
      rootfs: "local:4",
      net0: "name=eth0,bridge=vmbr0,ip=dhcp",
      unprivileged: 1,
      "ssh-public-keys": undefined,
    });
    const fixed = {
      ...container,
      addressing: "static" as const,
      address: "192.0.2.9/24",
      gateway: "192.0.2.1",
    };
    expect(containerParams(fixed).net0).toBe("name=eth0,bridge=vmbr0,ip=192.0.2.9/24,gw=192.0.2.1");
  });

  it("takes the server's complaints to its fields", () => {
    expect(
      placeContainerErrors(container, { ostemplate: "no root file system", net0: "no such bridge" }).placed,
    ).toEqual({
      template: "no root file system",
      bridge: "no such bridge",
    });
  });
});
