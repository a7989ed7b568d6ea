import { QueryClientProvider } from "@tanstack/react-query";
import { render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { MemoryRouter, Route, Routes } from "react-router";
import { afterEach, describe, expect, it, vi } from "vitest";
import { makeQueryClient } from "../src/api/queries";
import { Dialogs } from "../src/dialogs/Dialogs";
import NodePage from "../src/pages/NodePage";
import { enter, leave, ticket } from "./show";
import { stubFetch, type Answer, type Asked } from "./stub";

const GIB = 2 ** 30;
const DISKS = "/nodes/n1/disks";
const BARE = { mounted: 0, gpt: 0, rpm: 0, osdid: -1, size: 100 * GIB };
const SDA = {
  ...BARE,
  devpath: "/dev/sda",
  type: "hdd",
  vendor: "ATA",
  model: "WDC_WD40",
  serial: "WD-1",
  used: "LVM",
  health: "FAILED",
  wearout: "N/A",
};
const NVME = {
  ...BARE,
  devpath: "/dev/nvme0n1",
  type: "nvme",
  model: "Fast 990",
  used: "partitions",
  mounted: 1,
  health: "PASSED",
  wearout: 97,
};
const VDA = {
  ...BARE,
  devpath: "/dev/vda",
  type: "unknown",
  vendor: "QEMU",
  model: "Disk",
  health: "UNKNOWN",
  wearout: "N/A",
};
const TANK = { name: "tank", size: 8 * GIB, alloc: 2 * GIB, free: 6 * GIB, frag: 3, dedup: 1 };

type Table = Record<string, Answer | ((asked: Asked) => Answer)>;

const NONE: Table = {
  [`GET ${DISKS}/lvm`]: { data: { leaf: 0, children: [] } },
  [`GET ${DISKS}/lvmthin`]: { data: [] },
  [`GET ${DISKS}/zfs`]: { data: [] },
};

async function open(answers: Table = {}) {
  const table: Table = {
    "POST /access/ticket": ticket("root@pam", {}),
    "GET /cluster/resources": { data: [{ id: "node/n1", type: "node", node: "n1", status: "online" }] },
    [`GET ${DISKS}/list`]: { data: [SDA, NVME, VDA] },
    ...NONE,
    ...answers,
  };
  const asked = stubFetch(table);
  const client = makeQueryClient();
  await enter("root@pam");
  render(
    <QueryClientProvider client={client}>
      <MemoryRouter initialEntries={["/nodes/n1/disks"]}>
        <Routes>
          <Route path="nodes/:node/:tab?" element={<NodePage />} />
        </Routes>
        <Dialogs />
      </MemoryRouter>
    </QueryClientProvider>,
  );
  return { asked, client, table };
}

/** The row of a table in which a text stands. */
const row = async (text: string) => within((await screen.findByText(text)).closest("tr")!);
/** What a row says, by column. */
const cell = (of: Awaited<ReturnType<typeof row>>, column: string) =>
  of.getAllByRole("cell").find((td) => td.getAttribute("data-label") === column)!;
const press = async (label: string) => userEvent.click(await screen.findByLabelText(label));

afterEach(() => {
  leave();
  vi.unstubAllGlobals();
});

describe("the disks of a node", () => {
  it("are shown with how they are: one that fails as such", async () => {
    await open();
    const failing = await row("/dev/sda");
    expect(failing.getByText("Failing").closest(".pf-m-danger")).not.toBeNull();
    expect(cell(failing, "Type")).toHaveTextContent("HDD");
    expect(cell(failing, "Model")).toHaveTextContent(/^WDC_WD40$/);
    expect(cell(failing, "Serial")).toHaveTextContent("WD-1");
    expect(cell(failing, "Size")).toHaveTextContent("100 GiB");
    expect(cell(failing, "Usage")).toHaveTextContent(/^LVM$/);
    expect(cell(failing, "Life left")).toHaveTextContent("–");

    const well = await row("/dev/nvme0n1");
    expect(well.getByText("Healthy").closest(".pf-m-success")).not.toBeNull();
    expect(cell(well, "Usage")).toHaveTextContent("partitions (mounted)");
    const life = well.getByRole("meter", { name: "Life left of /dev/nvme0n1" });
    expect(life).toHaveAttribute("aria-valuenow", "97");
    expect(life.querySelector(".meter-normal")).not.toBeNull();
    expect(well.getByText("97 %")).toBeInTheDocument();

    const silent = await row("/dev/vda");
    expect(cell(silent, "Model")).toHaveTextContent("QEMU Disk");
    expect(cell(silent, "Usage")).toHaveTextContent("unused");
    expect(cell(silent, "Health")).toHaveTextContent("unknown");
  });

  it("warn when little of their life is left", async () => {
    await open({ [`GET ${DISKS}/list`]: { data: [{ ...NVME, wearout: 4 }] } });
    const life = await screen.findByRole("meter", { name: "Life left of /dev/nvme0n1" });
    expect(life.querySelector(".meter-high")).not.toBeNull();
  });

  it("say why they cannot be read, as does each panel, and are read when asked again", async () => {
    const refused = { status: 403, message: "Permission check failed (/, Sys.Audit)" };
    let refuse = true;
    await open({
      [`GET ${DISKS}/list`]: () => (refuse ? refused : { data: [SDA] }),
      [`GET ${DISKS}/lvm`]: refused,
      [`GET ${DISKS}/lvmthin`]: refused,
      [`GET ${DISKS}/zfs`]: refused,
    });
    for (const what of ["disks", "volume groups", "thin pools", "ZFS pools"])
      expect(await screen.findByText(`The ${what} cannot be read`)).toBeInTheDocument();
    expect(screen.getAllByText(refused.message)).toHaveLength(4);
    refuse = false;
    const panel = screen.getByRole("region", { name: "Disks" });
    await userEvent.click(within(panel).getByText("Try again"));
    expect(await within(panel).findByText("/dev/sda")).toBeInTheDocument();
  });
});

describe("SMART values", () => {
  const attribute = {
    id: "  5",
    name: "Reallocated_Sector_Ct",
    flags: "PO--CK",
    value: 5,
    normalized: 5,
    worst: 4,
    threshold: 10,
    fail: "NOW",
    raw: "1987",
  };

  it("are attributes of an ATA disk", async () => {
    const hours = { ...attribute, id: "  9", name: "Power_On_Hours", fail: "-", raw: "8765h" };
    const { asked } = await open({
      [`GET ${DISKS}/smart`]: {
        data: { health: "FAILED", type: "ata", wearout: 12, attributes: [attribute, hours] },
      },
    });
    await press("SMART values of /dev/sda");
    const dialog = within(await screen.findByRole("dialog", { name: "SMART values of /dev/sda" }));
    const table = within(await dialog.findByRole("grid", { name: "SMART attributes" }));
    const cells = table.getAllByRole("row").map((tr) =>
      within(tr)
        .queryAllByRole("cell")
        .map((td) => td.textContent.trim()),
    );
    expect(cells.slice(1)).toEqual([
      ["5", "Reallocated_Sector_Ct", "PO--CK", "5", "4", "10", "NOW", "1987"],
      ["9", "Power_On_Hours", "PO--CK", "5", "4", "10", "–", "8765h"],
    ]);
    expect(table.getByText("NOW").closest(".pf-m-danger")).not.toBeNull();
    expect(dialog.getByText("Failing", { selector: "dl *" })).toBeInTheDocument();
    expect(dialog.getByText("12 %")).toBeInTheDocument();
    expect(asked.find((a) => a.key === `GET ${DISKS}/smart`)?.query.get("disk")).toBe("/dev/sda");
  });

  it("are the text of another disk", async () => {
    const text = "Available Spare: 100%\nData Units Read: 1,234";
    await open({ [`GET ${DISKS}/smart`]: { data: { health: "PASSED", type: "text", text } } });
    await press("SMART values of /dev/nvme0n1");
    const dialog = within(await screen.findByRole("dialog", { name: "SMART values of /dev/nvme0n1" }));
    const shown = await dialog.findByRole("region", { name: "SMART values" });
    expect(shown.tagName).toBe("PRE");
    expect(shown.textContent).toBe(text);
    expect(dialog.getByText("Healthy")).toBeInTheDocument();
    expect(dialog.queryByRole("grid")).toBeNull();
  });

  it("are none of a disk that keeps silent", async () => {
    await open({ [`GET ${DISKS}/smart`]: { data: { health: "UNKNOWN" } } });
    await press("SMART values of /dev/vda");
    expect(await screen.findByText("This disk says no more of itself.")).toBeInTheDocument();
  });

  it("say why they cannot be read", async () => {
    await open({ [`GET ${DISKS}/smart`]: { status: 500, message: "no answer" } });
    await press("SMART values of /dev/vda");
    expect(await screen.findByText("The SMART values cannot be read")).toBeInTheDocument();
    expect(screen.getByText("no answer")).toBeInTheDocument();
  });
});

describe("groups and pools", () => {
  const panels = ["Volume groups (LVM)", "Thin pools", "ZFS pools"];

  const pv = { name: "/dev/sda3", leaf: 1, size: 40 * GIB, free: 30 * GIB };
  const group = { ...pv, name: "data", leaf: 0, children: [pv, { ...pv, name: "/dev/sdb" }] };
  const sizes = { lv_size: 20 * GIB, used: 17 * GIB, metadata_size: GIB, metadata_used: GIB / 4 };
  const there: Table = {
    [`GET ${DISKS}/lvm`]: { data: { leaf: 0, children: [group] } },
    [`GET ${DISKS}/lvmthin`]: { data: [{ lv: "fast", vg: "data", ...sizes }] },
    [`GET ${DISKS}/zfs`]: { data: [{ ...TANK, health: "ONLINE" }] },
  };

  it("have a panel while there are some, and none without", async () => {
    const { client, table } = await open(there);
    for (const name of panels) expect(await screen.findByRole("region", { name })).toBeInTheDocument();
    Object.assign(table, NONE);
    await client.invalidateQueries();
    for (const name of panels) await waitFor(() => expect(screen.queryByRole("region", { name })).toBeNull());
    expect(screen.getByRole("region", { name: "Disks" })).toBeInTheDocument();
  });

  it("show how full they are", async () => {
    await open(there);
    for (const name of panels) expect(await screen.findByRole("region", { name })).toBeInTheDocument();
    expect(screen.getByText("/dev/sda3, /dev/sdb")).toBeInTheDocument();
    const full = (name: string) => screen.getByRole("meter", { name }).getAttribute("aria-valuenow");
    expect(full("Use of volume group data")).toBe("25");
    expect(full("Data of thin pool data/fast")).toBe("85");
    expect(full("Metadata of thin pool data/fast")).toBe("25");
    expect(full("Use of ZFS pool tank")).toBe("25");
    const tank = await row("tank");
    expect(tank.getByText("ONLINE").closest(".pf-m-success")).not.toBeNull();
    expect(cell(tank, "Fragmentation")).toHaveTextContent("3 %");
    expect(cell(tank, "Deduplication")).toHaveTextContent("1.00x");
  });

  it("show which device of a degraded pool fails", async () => {
    const clean = { read: 0, write: 0, cksum: 0, msg: "", leaf: 1 };
    const good = { ...clean, name: "/dev/sdb1", state: "ONLINE" };
    const bad = {
      name: "/dev/sdc1",
      state: "FAULTED",
      read: 3,
      write: 71,
      cksum: 2,
      msg: "too many errors",
      leaf: 1,
    };
    const mirror = { ...clean, name: "mirror-0", state: "DEGRADED", leaf: 0, children: [good, bad] };
    const root = { ...clean, name: "tank", state: "DEGRADED", leaf: 0, children: [mirror] };
    const spares = {
      name: "spares",
      msg: "",
      leaf: 0,
      children: [{ name: "/dev/sdd1", state: "AVAIL", msg: "", leaf: 1 }],
    };
    const status = "One or more devices are faulted in response to persistent errors.";
    const action = "Replace the faulted device.";
    await open({
      [`GET ${DISKS}/zfs`]: { data: [{ ...TANK, health: "DEGRADED" }] },
      [`GET ${DISKS}/zfs/tank`]: {
        data: {
          name: "tank",
          state: "DEGRADED",
          status,
          action,
          scan: "none requested",
          errors: "No known data errors",
          children: [root, spares],
        },
      },
    });
    expect((await screen.findByText("DEGRADED")).closest(".pf-m-danger")).not.toBeNull();
    await press("Details of tank");
    const dialog = within(await screen.findByRole("dialog", { name: "ZFS pool tank" }));
    for (const text of [status, action, "none requested", "No known data errors"])
      expect(await dialog.findByText(text)).toBeInTheDocument();
    const rows = within(dialog.getByRole("grid", { name: "Devices" }))
      .getAllByRole("row")
      .slice(1);
    const indents = rows.map((tr) => {
      const name = within(tr).getAllByRole("cell")[0]!.querySelector("div")!;
      return [name.textContent, name.style.paddingInlineStart];
    });
    expect(indents).toEqual([
      ["tank", "0rem"],
      ["mirror-0", "1rem"],
      ["/dev/sdb1", "2rem"],
      ["/dev/sdc1", "2rem"],
      ["spares", "0rem"],
      ["/dev/sdd1", "1rem"],
    ]);
    const failing = await row("/dev/sdc1");
    expect(failing.getByText("FAULTED").closest(".pf-m-danger")).not.toBeNull();
    expect(failing.getAllByRole("cell").map((td) => td.textContent)).toEqual([
      "/dev/sdc1",
      "FAULTED",
      "3",
      "71",
      "2",
      "too many errors",
    ]);
    const spare = await row("/dev/sdd1");
    expect(spare.getByText("AVAIL").closest(".pf-m-danger")).toBeNull();
    expect(cell(spare, "Read errors")).toHaveTextContent("–");
  });
});
