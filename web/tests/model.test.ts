import { describe, expect, it } from "vitest";
import type { Resource, Task } from "../src/api/types";
import { splitInventory } from "../src/api/queries";
import { ticketUser } from "../src/api/session";
import { TaskWatch, type Ended } from "../src/api/watch";
import { deviceRows, optionSettings, sizeSettings } from "../src/model/config";
import { bytes, duration, percent } from "../src/model/format";
import { standsStill, whyNot } from "../src/model/guest";
import { counterRate, History } from "../src/model/history";
import { parseProps, printProps } from "../src/model/propstring";
import { binaryFrame, greeting, inputFrame, readHandshake, resizeFrame } from "../src/model/termproxy";
import { changeParams } from "../src/model/settings";
import { parseUpid, taskOutcome, taskTitle } from "../src/model/upid";
import { guessKind, splitVolid } from "../src/model/volume";
import { findHits } from "../src/shell/GlobalSearch";
import { arrangeTasks } from "../src/shell/TaskDrawer";
import { treeRows } from "../src/shell/Tree";

const UPID = "UPID:basalt:000003E8:0000A1B2:6740AAAA:qmstart:100:root@pam:";

describe("task identifiers", () => {
  it("are read field by field", () => {
    expect(parseUpid(UPID)).toEqual({
      node: "basalt",
      pid: 1000,
      pstart: 0xa1b2,
      start: 0x6740aaaa,
      type: "qmstart",
      id: "100",
      user: "root@pam",
    });
  });

  it("may lack an id but nothing else", () => {
    expect(parseUpid("UPID:n:00000001:00000001:00000001:imgcopy::root@pam:")?.id).toBe("");
    for (const bad of [
      "",
      "OK",
      UPID.slice(0, -1),
      UPID.replace("000003E8", "xyz"),
      UPID.replace("root@pam", ""),
    ]) {
      expect(parseUpid(bad)).toBeUndefined();
    }
  });

  it("give tasks their names", () => {
    expect(taskTitle({ type: "qmstart", id: "100" })).toBe("Start VM 100");
    expect(taskTitle({ type: "something", id: "" })).toBe("something");
  });
});

describe("tasks", () => {
  const task = (upid: string, more: Partial<Task> = {}): Task => ({
    upid,
    node: "a",
    type: "qmstart",
    id: "1",
    user: "root@pam",
    starttime: 1,
    ...more,
  });

  it("run until they have a status", () => {
    expect(taskOutcome({})).toBe("running");
    expect(taskOutcome({ status: "OK", endtime: 2 })).toBe("ok");
    expect(taskOutcome({ status: "WARNINGS: 2", endtime: 2 })).toBe("warning");
    expect(taskOutcome({ status: "no such volume", endtime: 2 })).toBe("failed");
  });

  it("are listed running first, then newest, without consoles", () => {
    const list = arrangeTasks([
      task("old", { endtime: 5, status: "OK", starttime: 1 }),
      task("new", { endtime: 9, status: "OK", starttime: 8 }),
      task("going", { starttime: 2 }),
      task("console", { type: "termproxy", starttime: 9 }),
    ]);
    expect(list.map((t) => t.upid)).toEqual(["going", "new", "old"]);
  });

  it("are announced once, and only when watched", () => {
    const watch = new TaskWatch();
    const heard: Ended[] = [];
    watch.subscribe((ended) => heard.push(ended));
    watch.track(UPID, "Start web");
    watch.track(null);
    watch.settle([task(UPID)]);
    expect(heard).toHaveLength(0);
    const ended = [task(UPID, { endtime: 3, status: "OK" }), task("other", { endtime: 3, status: "OK" })];
    watch.settle(ended);
    watch.settle(ended);
    expect(heard.map((e) => [e.title, e.outcome])).toEqual([["Start web", "ok"]]);
    expect(watch.size).toBe(0);
  });
});

describe("console framing", () => {
  it("counts bytes of UTF-8, not characters", () => {
    expect(inputFrame("ls\r")).toBe("0:3:ls\r");
    expect(inputFrame("é")).toBe("0:2:é");
    expect(inputFrame("世界")).toBe("0:6:世界");
    expect(inputFrame("😀")).toBe("0:4:😀");
  });

  it("sends binary input byte by byte", () => {
    expect([...binaryFrame("\u00ff\u0001")]).toEqual([0x30, 0x3a, 0x32, 0x3a, 0xff, 0x01]);
  });

  it("greets and resizes", () => {
    expect(greeting("root@pam", "PVEVNC:x")).toBe("root@pam:PVEVNC:x\n");
    expect(resizeFrame(80, 24)).toBe("1:80:24:");
  });

  it("waits for the whole answer and keeps what follows it", () => {
    const of = (text: string) => new TextEncoder().encode(text);
    expect(readHandshake(of("O"))).toEqual({ done: false });
    expect(readHandshake(of("OKlogin"))).toEqual({ done: true, ok: true, rest: of("login") });
    expect(readHandshake(of("no"))).toMatchObject({ done: true, ok: false });
  });
});

describe("small words", () => {
  it("are readable", () => {
    expect([bytes(0), bytes(1023), bytes(1536), bytes(16 * 2 ** 30), bytes(undefined)]).toEqual([
      "0 B",
      "1023 B",
      "1.5 KiB",
      "16 GiB",
      "–",
    ]);
    expect([percent(0.034), percent(0.5), percent(undefined)]).toEqual(["3.4 %", "50 %", "–"]);
    expect([duration(0), duration(61), duration(3600), duration(90061)]).toEqual([
      "0 s",
      "1 min 1 s",
      "1 h",
      "1 d 1 h",
    ]);
  });

  it("come from property strings and go back", () => {
    const text = "virtio=52:54:00:12:34:56,bridge=vmbr0";
    expect(parseProps(text).props).toEqual({ virtio: "52:54:00:12:34:56", bridge: "vmbr0" });
    expect(parseProps("local:4,size=4G")).toEqual({ value: "local:4", props: { size: "4G" } });
    expect(printProps("local:0", { "import-from": "local:import/x.raw", cache: undefined })).toBe(
      "local:0,import-from=local:import/x.raw",
    );
  });

  it("name volumes and guess their kind", () => {
    expect(splitVolid("local:kernel/vmlinuz-6")).toEqual({
      storage: "local",
      path: "kernel/vmlinuz-6",
      file: "vmlinuz-6",
    });
    expect(
      ["vmlinuz-6.12", "initrd.img-6.12", "d.tar.zst", "d.raw", "d.iso", "x.pdf"].map(guessKind),
    ).toEqual(["kernel", "kernel", "vztmpl", "import", "iso", undefined]);
  });

  it("name the user of a ticket", () => {
    expect(ticketUser("PVE:root@pam:6740AAAA::c2ln")).toBe("root@pam");
    expect(ticketUser("nonsense")).toBeUndefined();
  });
});

describe("guests", () => {
  const all = () => true;

  it("say why an action is not on offer", () => {
    const stopped = { type: "qemu" as const, status: "stopped" };
    expect(whyNot(stopped, "start", all)).toBeUndefined();
    expect(whyNot(stopped, "console", all)).toBe("the virtual machine is not running");
    expect(whyNot({ type: "lxc", status: "running" }, "delete", all)).toBe(
      "the container is running; stop it first",
    );
    expect(whyNot({ ...stopped, lock: "create" }, "start", all)).toBe(
      "the virtual machine is locked (create)",
    );
    expect(whyNot(stopped, "delete", () => false)).toBe("your account lacks the privilege VM.Allocate");
  });

  it("are resumed from whatever made them stand still", () => {
    const resume = (qmpstatus: string) =>
      whyNot({ type: "qemu", status: "running", paused: standsStill(qmpstatus) }, "resume", all);
    expect(resume("paused")).toBeUndefined();
    expect(resume("io-error")).toBeUndefined();
    expect(resume("watchdog")).toBeUndefined();
    expect(resume("guest-panicked")).toBe("the virtual machine is not paused");
    expect(resume("running")).toBe("the virtual machine is not paused");
  });

  const rows: Resource[] = [
    { id: "qemu/101", type: "qemu", node: "a", vmid: 101, name: "web", status: "running" },
    { id: "lxc/100", type: "lxc", node: "a", vmid: 100, name: "dns", status: "stopped" },
    { id: "storage/a/local", type: "storage", node: "a", storage: "local", status: "available" },
    { id: "node/a", type: "node", node: "a", status: "online" },
    { id: "/pool/dev/web", type: "pool", pool: "dev/web" },
  ];

  it("stand in the tree under their node, by number", () => {
    const tree = treeRows(splitInventory(rows), new Set());
    expect(tree.map((r) => r.id)).toEqual(["datacenter", "node/a", "lxc/100", "qemu/101", "storage/a/local"]);
    expect(treeRows(splitInventory(rows), new Set(["node/a"])).map((r) => r.id)).toEqual([
      "datacenter",
      "node/a",
    ]);
  });

  it("are found by every word typed", () => {
    const inventory = splitInventory(rows);
    expect(findHits(inventory, "web run").map((h) => h.key)).toEqual(["qemu/101"]);
    expect(findHits(inventory, "10").map((h) => h.key)).toEqual(["lxc/100", "qemu/101"]);
    expect(findHits(inventory, "pool").map((h) => h.path)).toEqual(["/pools/dev/web"]);
    expect(findHits(inventory, "  ")).toEqual([]);
  });
});

describe("configuration changes", () => {
  const config = {
    name: "web",
    cores: 2,
    onboot: 1,
    description: "x\n",
    net0: "virtio,bridge=vmbr0",
    digest: "d1",
  };

  it("carry only what differs, and the digest", () => {
    expect(changeParams(config, sizeSettings("qemu"), { cores: "4", memory: "512" })).toEqual({
      cores: "4",
      digest: "d1",
    });
    expect(changeParams(config, sizeSettings("qemu"), { cores: "2" })).toEqual({});
  });

  it("remove what was emptied and write flags as digits", () => {
    expect(changeParams(config, optionSettings("qemu"), { description: "", onboot: "0" })).toEqual({
      onboot: "0",
      delete: "description",
      digest: "d1",
    });
  });

  it("leave devices to be read", () => {
    expect(deviceRows("qemu", config)).toEqual([{ key: "net0", value: "virtio,bridge=vmbr0" }]);
  });
});

describe("samples", () => {
  it("roll: old ones fall out, and close ones from a second source are skipped", () => {
    const history = new History(10);
    history.record("a", { time: 0, values: { cpu: 1 } });
    history.record("a", { time: 2, values: { cpu: 2 } }, 8);
    history.record("a", { time: 11, values: { cpu: 3 } });
    expect(history.read("a").map((s) => s.time)).toEqual([11]);
  });

  it("become rates, with gaps where a counter started over", () => {
    const at = (time: number, n?: number) => ({ time, values: { n } });
    expect(counterRate([at(0, 0), at(2, 100), at(4, 50), at(5)], "n")).toEqual([null, 50, null, null]);
  });
});
