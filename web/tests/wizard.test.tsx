import { QueryClientProvider } from "@tanstack/react-query";
import { render, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { MemoryRouter } from "react-router";
import { afterEach, describe, expect, it, vi } from "vitest";
import { makeQueryClient } from "../src/api/queries";
import CreateContainer from "../src/dialogs/CreateContainer";
import CreateVm from "../src/dialogs/CreateVm";
import { stubFetch, type Answer } from "./stub";

const volume = (volid: string, content: string) => ({ volid, content, format: "raw", size: 1024 });

/** A node with one storage that holds one of everything. */
const WORLD: Record<string, Answer | ((asked: { query: URLSearchParams }) => Answer)> = {
  "GET /cluster/nextid": { data: "104" },
  "GET /cluster/resources": {
    data: [
      { id: "node/a", type: "node", node: "a", status: "online" },
      { id: "qemu/100", type: "qemu", node: "a", vmid: 100, name: "old", status: "stopped" },
    ],
  },
  "GET /nodes/a/storage": {
    data: [
      {
        storage: "local",
        type: "dir",
        content: "kernel,import,vztmpl,images,rootdir",
        active: 1,
        enabled: 1,
        avail: 1,
      },
    ],
  },
  "GET /nodes/a/network": { data: [{ iface: "vmbr0", type: "bridge" }] },
  "GET /nodes/a/storage/local/content": ({ query }) => ({
    data: [
      volume("local:kernel/vmlinuz-6", "kernel"),
      volume("local:kernel/initrd.img-6", "kernel"),
      volume("local:import/debian.raw", "import"),
      volume("local:vztmpl/debian.tar.zst", "vztmpl"),
    ].filter((v) => v.content === query.get("content")),
  }),
};

function show(dialog: React.ReactElement) {
  render(
    <QueryClientProvider client={makeQueryClient()}>
      <MemoryRouter>{dialog}</MemoryRouter>
    </QueryClientProvider>,
  );
}

const next = () => userEvent.click(screen.getByRole("button", { name: "Next" }));
const field = (name: string) => screen.getByRole("textbox", { name });

async function throughVm() {
  await waitFor(() => expect(field("Number")).toHaveValue("104"));
  await userEvent.type(field("Name"), "web");
  await next();
  await waitFor(() =>
    expect(screen.getByRole("combobox", { name: "Kernel" })).toHaveValue("local:kernel/vmlinuz-6"),
  );
  await next();
  await screen.findByRole("option", { name: /debian\.raw/ });
  await userEvent.selectOptions(
    screen.getByRole("combobox", { name: "Disk image" }),
    "local:import/debian.raw",
  );
  await next();
  await next();
  await next();
}

afterEach(() => vi.unstubAllGlobals());

describe("create virtual machine", () => {
  it("does not go on while a field is wrong, and says which", async () => {
    stubFetch(WORLD);
    show(<CreateVm onClose={() => undefined} />);
    await waitFor(() => expect(field("Number")).toHaveValue("104"));
    await userEvent.clear(field("Number"));
    await userEvent.type(field("Number"), "100");
    await next();
    expect(screen.getByText("Enter a name.")).toBeInTheDocument();
    expect(screen.getByText("100 is already in use.")).toBeInTheDocument();
    expect(field("Name")).toBeInvalid();
  });

  it("sends what was filled in and closes", async () => {
    const asked = stubFetch({
      ...WORLD,
      "POST /nodes/a/qemu": { data: "UPID:a:00000001:00000001:00000001:qmcreate:104:root@pam:" },
    });
    const onClose = vi.fn();
    show(<CreateVm onClose={onClose} />);
    await throughVm();
    await userEvent.click(screen.getByRole("button", { name: "Create" }));
    await waitFor(() => expect(onClose).toHaveBeenCalledOnce());
    const sent = Object.fromEntries(asked.find((a) => a.key === "POST /nodes/a/qemu")?.body ?? []);
    expect(sent).toMatchObject({
      vmid: "104",
      name: "web",
      kernel: "local:kernel/vmlinuz-6",
      initrd: "local:kernel/initrd.img-6",
      virtio0: "local:0,import-from=local:import/debian.raw",
      net0: "virtio,bridge=vmbr0",
      start: "1",
    });
  });

  it("shows the server's complaint at its field", async () => {
    stubFetch({
      ...WORLD,
      "POST /nodes/a/qemu": {
        status: 400,
        message: "Parameter verification failed.",
        errors: { name: "a guest of this name already exists" },
      },
    });
    const onClose = vi.fn();
    show(<CreateVm onClose={onClose} />);
    await throughVm();
    await userEvent.click(screen.getByRole("button", { name: "Create" }));
    await waitFor(() => expect(field("Name")).toBeInvalid());
    expect(screen.getAllByText(/a guest of this name already exists/).length).toBeGreaterThan(0);
    expect(onClose).not.toHaveBeenCalled();
  });
});

describe("create container", () => {
  it("asks for a way to log in", async () => {
    stubFetch(WORLD);
    show(<CreateContainer onClose={() => undefined} />);
    await waitFor(() => expect(field("Number")).toHaveValue("104"));
    await userEvent.type(field("Host name"), "dns");
    await next();
    expect(screen.getByText(/otherwise nobody can log in/)).toBeInTheDocument();
  });
});
