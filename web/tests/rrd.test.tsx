import { screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, describe, expect, it, vi } from "vitest";
import { Graphs } from "../src/components/RecordedGraphs";
import { drawable, newest, nodeRrd, readRrd, storageRrd } from "../src/model/rrd";
import { show } from "./show";
import { stubFetch } from "./stub";

vi.mock("../src/components/Plot", () => ({ default: () => null }));
afterEach(() => vi.unstubAllGlobals());

describe("recorded samples", () => {
  it("are read with gaps, in any order, and without what nobody recorded", () => {
    const data = readRrd([
      { time: 120, cpu: 0.5, netin: null },
      { time: 60, cpu: "0.25" },
      { time: 180, mem: 7 },
      { cpu: 1 },
      "nonsense",
    ]);
    expect(data).toEqual({
      times: [60, 120, 180],
      fields: { cpu: [0.25, 0.5, null], mem: [null, null, 7] },
    });
    expect(newest(data, "cpu")).toBe(0.5);
    expect(drawable("guest", data).map((chart) => chart.title)).toEqual(["CPU", "Memory"]);
    expect(readRrd(null)).toEqual({ times: [], fields: {} });
  });
});

describe("graphs of recorded samples", () => {
  it("ask for the time that was chosen", async () => {
    const asked = stubFetch({
      "GET /nodes/n1/rrddata": { data: [{ time: 60, cpu: 0.25 }, { time: 120 }] },
    });
    show(<Graphs of={nodeRrd("n1")} live={<p>now</p>} />);
    expect(screen.getByText("now")).toBeInTheDocument();
    await userEvent.click(screen.getByRole("button", { name: "Week" }));
    expect(await screen.findByRole("img", { name: "CPU: CPU 25 %" })).toBeInTheDocument();
    expect(Object.fromEntries(asked[0]!.query)).toEqual({ timeframe: "week", cf: "AVERAGE" });
  });

  it("say so when the server records none", async () => {
    stubFetch({});
    show(<Graphs of={storageRrd("n1", "local")} />);
    expect(await screen.findByText("This server records no samples.")).toBeInTheDocument();
  });
});
