import { screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, describe, expect, it, vi } from "vitest";
import { ConsoleConnection } from "../src/console/connection";
import { SerialPanel } from "../src/guest/SerialPanel";
import { enter, leave, show, ticket } from "./show";
import { stubFetch } from "./stub";

const AT = { node: "n1", type: "qemu", vmid: 100 } as const;
const CONFIG = "PUT /nodes/n1/qemu/100/config";

afterEach(() => {
  leave();
  vi.unstubAllGlobals();
});

async function open(cap: Record<string, number>, answer = {}) {
  const asked = stubFetch({
    "POST /access/ticket": ticket("jo@pve", { vms: cap }),
    [CONFIG]: answer,
  });
  await enter("jo@pve");
  show(<SerialPanel at={AT} config={{ serial2: "socket" }} running />);
  const changes = () => asked.filter((a) => a.key === CONFIG).map((a) => a.body.toString());
  return { changes };
}

describe("serial ports", () => {
  it("come and go, all but the first", async () => {
    const { changes } = await open({ "VM.Config.HWType": 1 });
    expect(screen.getByText("COM1, ttyS0")).toBeInTheDocument();
    expect(screen.queryByRole("button", { name: /serial0/ })).toBeNull();
    await userEvent.click(screen.getByRole("button", { name: "Add serial1" }));
    await waitFor(() => expect(changes()).toEqual(["serial1=socket"]));
    await userEvent.click(await screen.findByRole("button", { name: "Remove serial2" }));
    await waitFor(() => expect(changes()).toEqual(["serial1=socket", "delete=serial2"]));
  });

  it("stay for whoever may not change the hardware", async () => {
    const { changes } = await open({ "VM.Config.Options": 1 });
    await userEvent.click(screen.getByRole("button", { name: "Remove serial2" }));
    expect(await screen.findByText(/lacks the privilege VM.Config.HWType/)).toBeInTheDocument();
    expect(changes()).toEqual([]);
  });

  it("say why a change was refused", async () => {
    await open(
      { "VM.Config.HWType": 1 },
      { status: 400, errors: { vga: "there is no serial2 to be the console" } },
    );
    await userEvent.click(screen.getByRole("button", { name: "Remove serial2" }));
    expect(await screen.findByText(/there is no serial2 to be the console/)).toBeInTheDocument();
  });

  it("are asked for by name, and a container's terminal is not", async () => {
    const asked = stubFetch({});
    const events = { onOpen: vi.fn(), onData: vi.fn(), onClose: vi.fn() };
    await new ConsoleConnection(AT, events, "serial3").open();
    await new ConsoleConnection({ ...AT, type: "lxc" }, events).open();
    expect(asked.map(({ key, body }) => [key, body.get("serial")])).toEqual([
      ["POST /nodes/n1/qemu/100/termproxy", "serial3"],
      ["POST /nodes/n1/lxc/100/termproxy", null],
    ]);
  });
});
