import { describe, expect, it } from "vitest";
import { byArea, checkPath, checkRole, holds, mayGive, type Permissions } from "../src/model/access";
import { grown, growable, readSize } from "../src/model/disks";
import { checkPoolName, mayNest, parentPool, poolPage } from "../src/model/pools";
import { asDay, checkUserName, emptied, realmOf, standing, startOfDay } from "../src/model/users";

describe("permissions on paths", () => {
  const own: Permissions = {
    "/": { "Sys.Audit": 1 },
    "/vms": { "VM.Audit": 1, "VM.Allocate": 0 },
    "/vms/100": { "VM.PowerMgmt": 1 },
    "/pool/dev": { "Pool.Allocate": 1 },
  };

  it("come down from above, unless they are given there alone", () => {
    expect(holds(own, "/vms", "VM.Allocate")).toBe(true);
    expect(holds(own, "/vms/101", "VM.Allocate")).toBe(false);
    expect(holds(own, "/vms/101", "VM.Audit")).toBe(true);
    expect(holds(own, "/pool/dev/web", "Pool.Allocate")).toBe(true);
    expect(holds(own, "/mapping/pci", "Sys.Audit")).toBe(true);
  });

  it("are replaced by what is given further down", () => {
    expect(holds(own, "/vms/100", "VM.Audit")).toBe(false);
    expect(holds(own, "/vms/100", "VM.PowerMgmt")).toBe(true);
  });

  it("are none where the API would tell of some and does not", () => {
    expect(holds(own, "/access", "Sys.Audit")).toBe(false);
    expect(holds(own, "/access/realm/pve", "Sys.Audit")).toBe(false);
    expect(holds({}, "/vms/100", "VM.Audit")).toBe(false);
  });

  it("are given by who may change them, and by the master of what lies there", () => {
    expect(mayGive(own, "/pool/dev")).toBe(true);
    expect(mayGive(own, "/pool")).toBe(false);
    expect(mayGive(own, "/vms/100")).toBe(false);
    expect(mayGive({ "/": { "Permissions.Modify": 1 } }, "/mapping/pci")).toBe(true);
  });

  it("are shown by what they are about", () => {
    expect(byArea(["VM.Audit", "Sys.Audit", "VM.Allocate"])).toEqual([
      { area: "Nodes and datacenter", privileges: ["Sys.Audit"] },
      { area: "Guests", privileges: ["VM.Allocate", "VM.Audit"] },
    ]);
  });
});

describe("names", () => {
  it("of paths", () => {
    for (const good of ["/", "/vms/100", "/access/realm/my-realm", "/pool/a/b.c"])
      expect(checkPath(good)).toBeUndefined();
    for (const bad of ["", "vms", "/vms/", "//", "/vms/..", "/a b"]) expect(checkPath(bad)).toBeDefined();
  });

  it("of roles, users and pools", () => {
    expect(checkRole("Starter")).toBeUndefined();
    expect(checkRole("PVEStarter")).toMatch(/built-in/);
    expect(checkRole("1st")).toBeDefined();
    expect(checkUserName("o'neil@example.org")).toBeUndefined();
    expect(checkUserName("ann bee")).toBeDefined();
    expect(realmOf("ann@example.org@corp!ci")).toBe("corp");
    expect(checkPoolName(".hidden")).toBeDefined();
    expect(checkPoolName("a/b")).toBeDefined();
    expect(parentPool("a/b/c")).toBe("a/b");
    expect(parentPool("a")).toBeUndefined();
    expect([mayNest("a/b"), mayNest("a/b/c")]).toEqual([true, false]);
    expect(poolPage("a/b")).toBe("/pools/a/b");
  });
});

describe("ends of accounts", () => {
  it("are days here, and stay what they were", () => {
    expect(asDay(0)).toBe("");
    expect(asDay(startOfDay("2031-03-09"))).toBe("2031-03-09");
    expect(new Date(startOfDay("2031-03-09") * 1000).getHours()).toBe(0);
  });

  it("say how a user stands", () => {
    expect(standing({ enable: 1, expire: 0 }, 100)).toBe("can log in");
    expect(standing({ enable: 1, expire: 100 }, 100)).toBe("ended");
    expect(standing({ enable: 0, expire: 100 }, 100)).toBe("switched off");
  });

  it("are taken away by a nought, and texts by an empty one", () => {
    expect(emptied({ email: "a@b", delete: "expire,comment,groups" })).toEqual({
      email: "a@b",
      expire: "0",
      comment: "",
      groups: "",
    });
  });
});

describe("disks", () => {
  it("grow where they have a volume of their own", () => {
    const config = {
      virtio0: "local:100/vm-100-disk-0.raw,size=32G",
      scsi1: "file=pool:vm-100-disk-1,size=512M",
      ide2: "local:iso/debian.iso,media=cdrom,size=600M",
      ide3: "local:100/vm-100-cloudinit.raw,media=cdrom",
      sata0: "none,media=cdrom",
      net0: "virtio=BC:24:11:53:64:F9,bridge=vmbr0",
      unused0: "local:100/vm-100-disk-9.raw",
      rootfs: "local:101/vm-101-disk-0.raw,size=8G",
    };
    const found = (type: "qemu" | "lxc") => Object.keys(config).filter((key) => growable(type, config, key));
    expect(found("qemu")).toEqual(["virtio0", "scsi1"]);
    expect(found("lxc")).toEqual(["rootfs"]);
    expect(growable("qemu", config, "scsi1")).toEqual({ key: "scsi1", size: 512 * 1024 ** 2 });
  });

  it("say how large they are", () => {
    expect(readSize("1.5T")).toBe(1.5 * 1024 ** 4);
    expect(readSize("4096")).toBe(4096);
    expect(readSize(undefined)).toBeUndefined();
    expect(grown(1024 ** 3, 3)).toBe(4 * 1024 ** 3);
  });
});
