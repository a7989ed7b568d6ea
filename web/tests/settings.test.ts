import { describe, expect, it } from "vitest";
import { readInterfaces } from "../src/model/agent";
import { checkPem, lifeOf } from "../src/model/certificate";
import { cards, cardSettings, cloudDrive, USER_SETTINGS } from "../src/model/cloudinit";
import { optionSettings, privilegeFor, sizeSettings } from "../src/model/config";
import { readSyncLog, realmSections } from "../src/model/realm";
import { changeParams, complaints, shownValue, type Setting } from "../src/model/settings";

const find = (settings: readonly Setting[], key: string) => settings.find((s) => s.key === key)!;

describe("settings that are parts of a property string", () => {
  const cpu = sizeSettings("qemu");

  it("are read bare or by name", () => {
    expect(shownValue({ cpu: "x86-64-v3,hidden=1" }, find(cpu, "cpu.cputype"))).toBe("x86-64-v3");
    expect(shownValue({ cpu: "cputype=x86-64-v3" }, find(cpu, "cpu.cputype"))).toBe("x86-64-v3");
    expect(shownValue({}, find(cpu, "cpu.cputype"))).toBe("host");
  });

  it("leave the other parts as they are", () => {
    const config = { cpu: "x86-64-v3,flags=+pcid;-aes", digest: "d" };
    expect(changeParams(config, cpu, { "cpu.hidden": "1" })).toEqual({
      cpu: "x86-64-v3,flags=+pcid;-aes,hidden=1",
      digest: "d",
    });
    expect(changeParams(config, cpu, { "cpu.cputype": "host" })).toEqual({
      cpu: "host,flags=+pcid;-aes",
      digest: "d",
    });
  });

  it("take the whole string away when nothing of it is left", () => {
    expect(changeParams({ agent: "1" }, optionSettings("qemu"), { "agent.enabled": "0" })).toEqual({
      delete: "agent",
    });
    const net = cardSettings(0);
    expect(changeParams({ ipconfig0: "ip=dhcp" }, net, { "ipconfig0.ip": "" })).toEqual({
      delete: "ipconfig0",
    });
  });

  it("are written together", () => {
    const edits = { "ipconfig1.ip": "192.0.2.10/24", "ipconfig1.gw": "192.0.2.1" };
    expect(changeParams({}, cardSettings(1), edits)).toEqual({
      ipconfig1: "ip=192.0.2.10/24,gw=192.0.2.1",
    });
  });
});

describe("settings of several words", () => {
  const settings = optionSettings("qemu");

  it("keep words that the form does not know", () => {
    expect(changeParams({ hotplug: "network,usb" }, settings, { hotplug: "network,cpu,usb" })).toEqual({
      hotplug: "network,cpu,usb",
    });
  });

  it("say none in the server's way", () => {
    const [sync] = realmSections("ldap", false).slice(-1);
    const edits = { "sync.remove-vanished": "acl;entry", "sync.scope": "both" };
    const config = { "sync-defaults-options": "remove-vanished=acl,enable-new=0" };
    expect(changeParams(config, sync!.settings, edits)).toEqual({
      "sync-defaults-options": "remove-vanished=acl;entry,enable-new=0,scope=both",
    });
    expect(changeParams(config, sync!.settings, { "sync.remove-vanished": "none" })).toEqual({
      "sync-defaults-options": "enable-new=0",
    });
  });
});

describe("settings that are wrong", () => {
  it("are named, also when they are missing", () => {
    const settings = realmSections("ldap", true).flatMap((section) => section.settings);
    expect(complaints({}, settings, { port: "70000" })).toMatchObject({
      server1: expect.stringContaining("Server") as string,
      base_dn: expect.stringContaining("Base DN") as string,
      port: expect.stringContaining("65535") as string,
    });
    const right = { server1: "ldap.example.org", base_dn: "dc=x", user_attr: "uid", port: "" };
    expect(complaints({}, settings, right)).toEqual({});
  });

  it("never show a secret, and leave it alone when nothing is typed", () => {
    const secret = find(USER_SETTINGS, "cipassword");
    expect(shownValue({ cipassword: "**********" }, secret)).toBe("");
    expect(changeParams({ cipassword: "**********" }, USER_SETTINGS, { cipassword: "" })).toEqual({});
  });
});

describe("cloud-init", () => {
  const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB me@home";

  it("encodes keys as the API does, once", () => {
    const params = changeParams({}, USER_SETTINGS, { sshkeys: key });
    expect(params["sshkeys"]).toBe(encodeURIComponent(key));
    expect(shownValue({ sshkeys: params["sshkeys"] }, find(USER_SETTINGS, "sshkeys"))).toBe(key);
  });

  it("finds its drive and the cards that addresses are for", () => {
    expect(cloudDrive({ ide2: "local:100/vm-100-cloudinit.qcow2,media=cdrom" })).toBe("ide2");
    expect(cloudDrive({ ide2: "pool:vm-100-cloudinit,media=cdrom" })).toBe("ide2");
    expect(cloudDrive({ ide2: "local:iso/cloudinit-tools.iso,media=cdrom" })).toBeUndefined();
    expect(cards({ net10: "virtio", net2: "virtio", name: "net5" })).toEqual([2, 10]);
  });

  it("takes other rights than the rest", () => {
    expect(privilegeFor("qemu", cardSettings(0)[0]!)).toBe("VM.Config.Cloudinit");
    expect(privilegeFor("qemu", find(sizeSettings("qemu"), "cpu.cputype"))).toBe("VM.Config.CPU");
    expect(privilegeFor("lxc", find(optionSettings("lxc"), "hostname"))).toBe("VM.Config.Network");
  });
});

describe("a guest agent's answer", () => {
  it("is read whatever the guest makes of it", () => {
    expect(readInterfaces({ not: "a list" })).toEqual([]);
    expect(
      readInterfaces([
        { name: "lo", "ip-addresses": [{ "ip-address": "127.0.0.1", prefix: 8 }] },
        {
          name: "eth0",
          "hardware-address": 5,
          "ip-addresses": [{ "ip-address": "192.0.2.7", prefix: 24 }, 7],
        },
        null,
      ]),
    ).toEqual([{ name: "eth0", addresses: ["192.0.2.7/24"] }]);
  });
});

describe("a synchronisation's log", () => {
  it("becomes changes", () => {
    const lines = [
      "reading the directory of realm 'corp'",
      "found 2 users and 1 groups",
      "adding user 'bob@corp'",
      "updating group 'staff-corp'",
      "removing permissions of user 'old@corp'",
      "removing user 'old@corp'",
      "WARN: skipping 'uid=b:d,dc=example': a user name has no colon: none",
      "this was a preview: nothing was changed",
    ];
    expect(readSyncLog(lines)).toEqual({
      found: "found 2 users and 1 groups",
      changes: [
        { action: "add", kind: "user", name: "bob@corp" },
        { action: "update", kind: "group", name: "staff-corp" },
        { action: "remove permissions", kind: "user", name: "old@corp" },
        { action: "remove", kind: "user", name: "old@corp" },
        {
          action: "skip",
          kind: "user",
          name: "uid=b:d,dc=example",
          reason: "a user name has no colon: none",
        },
      ],
    });
  });
});

describe("certificates", () => {
  it("say how long they are still good for", () => {
    expect(lifeOf(1000, 2000)).toEqual({ text: "no longer valid", status: "danger" });
    expect(lifeOf(2000 + 7200, 2000).text).toBe("2 h left");
    expect(lifeOf(2000 + 5 * 86400, 2000)).toEqual({ text: "5 days left", status: "warning" });
    expect(lifeOf(2000 + 3650 * 86400, 2000).text).toBe("9 years left");
    expect(lifeOf(2000 + 300 * 86400, 2000).status).toBe("success");
  });

  it("are told from keys, and keys of another form from those that are taken", () => {
    const block = (label: string) => `-----BEGIN ${label}-----\nAA==\n-----END ${label}-----\n`;
    expect(checkPem(block("CERTIFICATE"), "certificate")).toBeUndefined();
    expect(checkPem(block("PRIVATE KEY"), "certificate")).toContain("BEGIN CERTIFICATE");
    expect(checkPem(block("RSA PRIVATE KEY"), "key")).toContain("openssl pkcs8");
  });
});
