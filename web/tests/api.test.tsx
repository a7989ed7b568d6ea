import { QueryClientProvider } from "@tanstack/react-query";
import { render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { MemoryRouter } from "react-router";
import { afterEach, describe, expect, it, vi } from "vitest";
import { makeQueryClient } from "../src/api/queries";
import { kindOf, loadDescription, operations, search, treeOf } from "../src/model/openapi";
import ApiPage from "../src/pages/ApiPage";
import { stubFetch } from "./stub";

afterEach(() => vi.unstubAllGlobals());

function show(address: string) {
  render(
    <QueryClientProvider client={makeQueryClient()}>
      <MemoryRouter initialEntries={[address]}>
        <ApiPage />
      </MemoryRouter>
    </QueryClientProvider>,
  );
}

describe("the description", () => {
  it("has every method with its parameters and permission", async () => {
    const all = operations(await loadDescription());
    expect(all.length).toBeGreaterThan(150);
    const start = all.find((one) => one.id === "POST /nodes/{node}/qemu/{vmid}/status/start");
    expect(start?.permission).toContain("VM.PowerMgmt");
    expect(start?.fields.find((field) => field.name === "vmid")).toMatchObject({ required: true });
    expect(all.every((one) => one.summary !== "" && one.permission !== "")).toBe(true);
  });

  it("is searched by all words, in paths and parameters", async () => {
    const all = operations(await loadDescription());
    const found = search(all, "post qemu start");
    expect(found.map((one) => one.id)).toContain("POST /nodes/{node}/qemu/{vmid}/status/start");
    expect(found.every((one) => one.verb === "POST")).toBe(true);
    expect(search(all, "no-such-word")).toEqual([]);
    expect(search(all, "mac_prefix").length).toBeGreaterThan(0);
  });

  it("is a tree of segments", async () => {
    const tree = treeOf(operations(await loadDescription()));
    const access = tree.folders.find((folder) => folder.name === "access");
    expect(access?.folders.map((folder) => folder.path)).toContain("/access/users");
  });

  it("says in words what values there are", () => {
    const none = { paths: {}, components: { schemas: { A: { enum: ["x", "y"] } } } };
    expect(kindOf(none, { $ref: "#/components/schemas/A" })).toBe("x | y");
    expect(kindOf(none, { type: "integer", minimum: 1, maximum: 4 })).toBe("integer, 1 to 4");
    expect(kindOf(none, { type: "array", items: { type: "string" } })).toBe("list of text");
    expect(kindOf(none, { $ref: "#/components/schemas/Missing" })).toBe("nothing");
  });
});

describe("the page", () => {
  it("finds a method, shows its parameters and calls it", async () => {
    const asked = stubFetch({ "GET /nodes/n1/tasks": { data: [{ upid: "UPID:x" }] } });
    show("/api");
    await userEvent.click(await screen.findByLabelText("Search methods"));
    await userEvent.paste("get tasks statusfilter");
    await userEvent.click(await screen.findByRole("button", { name: /^GET \/nodes\/{node}\/tasks:/ }));
    const table = await screen.findByRole("grid", { name: "Parameters" });
    expect(within(table).getByText("statusfilter")).toBeInTheDocument();
    const call = screen.getByRole("button", { name: "Call" });
    expect(call).toBeDisabled();
    await userEvent.type(screen.getByRole("textbox", { name: "node" }), "n1");
    await userEvent.type(screen.getByRole("textbox", { name: "limit" }), "5");
    await userEvent.click(call);
    await waitFor(() => expect(screen.getByLabelText("Answer")).toHaveTextContent("UPID:x"));
    expect(asked.at(-1)?.query.get("limit")).toBe("5");
  }, 20_000);

  it("shows what the server says of a refused call", async () => {
    stubFetch({ "GET /version": { status: 403, message: "Permission check failed" } });
    show(`/api?method=${encodeURIComponent("GET /version")}`);
    await userEvent.click(await screen.findByRole("button", { name: "Call" }));
    expect(await screen.findByText(/Permission check failed/)).toBeInTheDocument();
  });

  it("offers no trial of what changes something", async () => {
    stubFetch({});
    show(`/api?method=${encodeURIComponent("DELETE /access/users/{userid}")}`);
    expect(await screen.findByText("Who may:")).toBeInTheDocument();
    expect(screen.queryByRole("button", { name: "Call" })).toBeNull();
  });
});
