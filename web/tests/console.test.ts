import { describe, expect, it, vi } from "vitest";
import { prepareScreen } from "../src/console/screen";
import { firstView, hasScreen, views } from "../src/model/display";
import { COMBINATIONS, CTRL_ALT_DEL, keysymsOf, press } from "../src/model/keys";
import { stubFetch } from "./stub";

describe("which consoles a machine has", () => {
  it("has a screen unless its display says otherwise", () => {
    expect(hasScreen({})).toBe(true);
    expect(hasScreen({ vga: "virtio,memory=32" })).toBe(true);
    expect(hasScreen({ vga: "type=none" })).toBe(false);
    expect(hasScreen({ vga: "serial0" })).toBe(false);
  });

  it("shows the serial console first where nobody would see anything else", () => {
    expect(firstView({})).toBe("screen");
    expect(firstView({ kernel: "local:kernel/vmlinuz" })).toBe("serial0");
    expect(firstView({ kernel: "local:kernel/vmlinuz", vga: "virtio" })).toBe("screen");
    expect(firstView({ vga: "none" })).toBe("serial0");
    expect(firstView({ vga: "serial2", serial2: "socket" })).toBe("serial2");
    expect(firstView({ vga: "serial2" })).toBe("serial0");
  });

  it("has a console for every serial port", () => {
    const names = (config: Parameters<typeof views>[0]) => views(config).map(({ name }) => name);
    expect(names({})).toEqual(["Screen", "Serial console"]);
    expect(names({ vga: "none", serial0: "socket", serial3: "socket" })).toEqual([
      "Serial console",
      "Serial console (serial3)",
    ]);
  });
});

describe("keys", () => {
  it("lets go in reverse order of everything it presses", () => {
    const send = vi.fn();
    press(CTRL_ALT_DEL, send);
    expect(send.mock.calls).toEqual([
      [0xffe3, "ControlLeft", true],
      [0xffe9, "AltLeft", true],
      [0xffff, "Delete", true],
      [0xffff, "Delete", false],
      [0xffe9, "AltLeft", false],
      [0xffe3, "ControlLeft", false],
    ]);
    const f7 = COMBINATIONS.find(({ name }) => name === "Ctrl+Alt+F7");
    expect(f7?.keys[2]).toEqual({ keysym: 0xffc4, code: "F7" });
  });

  it("types what a US keyboard has", () => {
    expect(keysymsOf("aB\r\n\t~")).toEqual({ keysyms: [0x61, 0x42, 0xff0d, 0xff09, 0x7e], missing: 0 });
    expect(keysymsOf("é😀x")).toEqual({ keysyms: [0x78], missing: 2 });
  });
});

describe("a screen's address", () => {
  it("carries the ticket, which is the password too", async () => {
    const asked = stubFetch({
      "POST /nodes/n1/qemu/100/vncproxy": { data: { port: 5901, ticket: "PVEVNC:1::a+b", user: "root@pam" } },
    });
    const address = await prepareScreen({ node: "n1", type: "qemu", vmid: 100 });
    expect(asked[0]?.body.get("websocket")).toBe("1");
    expect(address.password).toBe("PVEVNC:1::a+b");
    const url = new URL(address.url);
    expect(url.protocol).toBe("wss:");
    expect(url.pathname).toBe("/api2/json/nodes/n1/qemu/100/vncwebsocket");
    expect(url.searchParams.get("vncticket")).toBe("PVEVNC:1::a+b");
  });
});
