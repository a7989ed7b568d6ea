import { fireEvent, screen, waitFor } from "@testing-library/react";
import { afterEach, describe, expect, it, vi } from "vitest";
import { QueryClientProvider } from "@tanstack/react-query";
import { render } from "@testing-library/react";
import { MemoryRouter, Route, Routes } from "react-router";
import { makeQueryClient } from "../src/api/queries";
import { Dialogs } from "../src/dialogs/Dialogs";
import { HardwareTab } from "../src/guest/ConfigTabs";
import PoolPage from "../src/pages/pools/PoolPage";
import { enter, leave, show, ticket } from "./show";
import { stubFetch, type Asked } from "./stub";

const RIGHTS = { "Pool.Allocate": 1, "VM.Allocate": 1, "Datastore.Allocate": 1 };
const WEB = { id: "qemu/100", type: "qemu", node: "n1", vmid: 100, name: "web", pool: "dev/a" };
const DB = { id: "lxc/101", type: "lxc", node: "n1", vmid: 101, name: "db", pool: "old" };
const FREE = { id: "lxc/102", type: "lxc", node: "n1", vmid: 102, name: "free" };
const LOCAL = { id: "storage/n1/local", type: "storage", node: "n1", storage: "local" };

function stub(own: object = { "/pool": RIGHTS, "/vms": RIGHTS, "/storage": RIGHTS }): Asked[] {
  return stubFetch({
    "POST /access/ticket": ticket("ann@pve", {}),
    "GET /access/permissions": { data: own },
    "GET /pools": ({ query }) =>
      query.has("poolid")
        ? { data: [{ poolid: "dev/a", comment: "first", members: [WEB] }] }
        : { data: [{ poolid: "dev" }, { poolid: "dev/a" }, { poolid: "dev/a/b" }, { poolid: "dev2" }] },
    "GET /cluster/resources": { data: [WEB, DB, FREE, LOCAL, { ...LOCAL, id: "storage/n2/local" }] },
    "PUT /pools": {},
  });
}

async function openPool(at: string) {
  await enter("ann@pve");
  render(
    <QueryClientProvider client={makeQueryClient()}>
      <MemoryRouter initialEntries={[at]}>
        <Routes>
          <Route path="pools/*" element={<PoolPage />} />
        </Routes>
        <Dialogs />
      </MemoryRouter>
    </QueryClientProvider>,
  );
}

const sent = (asked: Asked[], key: string) => {
  const call = asked.findLast((a) => a.key === key);
  return call && Object.fromEntries(call.body);
};
const press = async (text: string) =>
  fireEvent.click(await screen.findByText(text, { selector: ".pf-v6-c-modal-box__footer *" }));

afterEach(() => {
  leave();
  vi.unstubAllGlobals();
});

describe("a pool", () => {
  it("has its guests, and the pools right below it", async () => {
    const asked = stub();
    await openPool("/pools/dev/a");
    expect(await screen.findByText("VM 100")).toBeInTheDocument();
    expect(await screen.findByText("dev/a/b")).toBeInTheDocument();
    expect(screen.queryByText("dev2")).toBeNull();
    fireEvent.click(screen.getByLabelText("Take VM 100 out"));
    await press("Take out");
    await waitFor(() =>
      expect(sent(asked, "PUT /pools")).toEqual({ poolid: "dev/a", vms: "100", delete: "1" }),
    );
  });

  it("takes guests, out of another pool only when that is said", async () => {
    const asked = stub();
    await openPool("/pools/dev/a");
    fireEvent.click(await screen.findByText("Add guests"));
    fireEvent.click(await screen.findByLabelText("CT 102 free"));
    await press("Add");
    await waitFor(() => expect(sent(asked, "PUT /pools")).toEqual({ poolid: "dev/a", vms: "102" }));
    await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
    fireEvent.click(screen.getByText("Add guests"));
    fireEvent.click(await screen.findByLabelText("CT 101 db, now in the pool old"));
    await press("Move");
    await waitFor(() =>
      expect(sent(asked, "PUT /pools")).toEqual({ poolid: "dev/a", vms: "101", "allow-move": "1" }),
    );
  });

  it("takes a storage of all nodes once", async () => {
    const asked = stub();
    await openPool("/pools/dev/a");
    fireEvent.click(await screen.findByText("Add storages"));
    fireEvent.click(await screen.findByLabelText("local"));
    await press("Add");
    await waitFor(() => expect(sent(asked, "PUT /pools")).toEqual({ poolid: "dev/a", storage: "local" }));
  });

  it("is only looked at by who may not change it, and is none when it is not there", async () => {
    stub({ "/pool": { "Pool.Audit": 1 } });
    await openPool("/pools/dev/a");
    await waitFor(() =>
      expect(screen.getByText("Add guests").closest("button")).toHaveAttribute("aria-disabled", "true"),
    );
    await openPool("/pools/gone");
    expect(await screen.findByText("There is no such pool")).toBeInTheDocument();
  });
});

describe("a disk", () => {
  const at = { node: "n1", type: "qemu", vmid: 100 } as const;

  it("grows by what is asked for, of the configuration that was read", async () => {
    const refusal = { status: 400, message: "refused", errors: { size: "is more than there is" } };
    const asked = stubFetch({
      "POST /access/ticket": ticket("root@pam", { vms: { "VM.Config.Disk": 1 } }),
      "GET /nodes/n1/qemu/100/config": {
        data: {
          digest: "d1",
          virtio0: "local:100/vm-100-disk-0.raw,size=4G",
          net0: "virtio=BC:24:11:00:00:01",
        },
      },
      "GET /nodes/n1/capabilities/qemu/cpu": { data: [] },
      "PUT /nodes/n1/qemu/100/resize": refusal,
    });
    await enter("root@pam");
    show(<HardwareTab at={at} running={false} />);
    fireEvent.click(await screen.findByLabelText("Grow virtio0"));
    expect(screen.queryByLabelText("Grow net0")).toBeNull();
    const more = await screen.findByLabelText(/^How much larger/);
    await press("Grow");
    expect(await screen.findByText(/Enter a whole number/)).toBeInTheDocument();
    fireEvent.change(more, { target: { value: "4" } });
    expect(await screen.findByText("It has 4 GiB, and will have 8 GiB.")).toBeInTheDocument();
    await press("Grow");
    await waitFor(() => expect(more).toBeInvalid());
    expect(sent(asked, "PUT /nodes/n1/qemu/100/resize")).toEqual({
      disk: "virtio0",
      size: "+4G",
      digest: "d1",
    });
  });
});
