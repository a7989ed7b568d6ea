/** Recorded samples of a node, guest or storage: `GET …/rrddata`, as Proxmox VE answers it. */
import type { GuestRef } from "./guest";

/** How far back samples go. */
export const TIMEFRAMES = ["hour", "day", "week", "month", "year"] as const;
export type Timeframe = (typeof TIMEFRAMES)[number];

const HOUR = 3600;
const DAY = 24 * HOUR;

/** Seconds of a time frame. */
export const SPANS: Record<Timeframe, number> = {
  hour: HOUR,
  day: DAY,
  week: 7 * DAY,
  month: 31 * DAY,
  year: 366 * DAY,
};

/** Whose samples: the method, and what its path names. */
export interface RrdSource {
  template: string;
  params: Record<string, string>;
  kind: "node" | "guest" | "storage";
}

export function nodeRrd(node: string): RrdSource {
  return { template: "/nodes/{node}/rrddata", params: { node }, kind: "node" };
}

export function guestRrd({ node, type, vmid }: GuestRef): RrdSource {
  return {
    template: `/nodes/{node}/${type}/{vmid}/rrddata`,
    params: { node, vmid: String(vmid) },
    kind: "guest",
  };
}

export function storageRrd(node: string, storage: string): RrdSource {
  return { template: "/nodes/{node}/storage/{storage}/rrddata", params: { node, storage }, kind: "storage" };
}

/** Samples in order of time. */
export interface RrdData {
  /** Unix times in seconds. */
  times: number[];
  /** Values by field, one for each time; null where there is none. */
  fields: Record<string, (number | null)[]>;
}

function number(value: unknown): number | null {
  const read = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  return typeof read === "number" && Number.isFinite(read) ? read : null;
}

/** Reads an answer; rows without a time are dropped, fields that no row has are not there. */
export function readRrd(answer: unknown): RrdData {
  const rows = (Array.isArray(answer) ? (answer as unknown[]) : [])
    .filter((row): row is Record<string, unknown> => typeof row === "object" && row !== null)
    .flatMap((row) => {
      const time = number(row["time"]);
      return time === null ? [] : [{ row, time }];
    })
    .sort((a, b) => a.time - b.time);
  const names = new Set(rows.flatMap(({ row }) => Object.keys(row)));
  names.delete("time");
  const fields: RrdData["fields"] = {};
  for (const name of names) {
    const values = rows.map(({ row }) => number(row[name]));
    if (values.some((value) => value !== null)) fields[name] = values;
  }
  return { times: rows.map(({ time }) => time), fields };
}

/** One graph: which fields it draws, and in what unit. */
export interface Chart {
  title: string;
  lines: readonly { field: string; label: string }[];
  unit: "share" | "bytes" | "rate" | "number";
  /** Field whose newest value is the top of the scale. */
  top?: string;
}

const CPU: Chart = { title: "CPU", unit: "share", lines: [{ field: "cpu", label: "CPU" }] };
const NETWORK: Chart = {
  title: "Network",
  unit: "rate",
  lines: [
    { field: "netin", label: "In" },
    { field: "netout", label: "Out" },
  ],
};

/** The graphs of each kind, in the order they stand on the page. */
export const CHARTS: Record<RrdSource["kind"], readonly Chart[]> = {
  node: [
    { ...CPU, lines: [...CPU.lines, { field: "iowait", label: "Waiting for disks" }] },
    { title: "Load", unit: "number", lines: [{ field: "loadavg", label: "Load" }] },
    { title: "Memory", unit: "bytes", top: "memtotal", lines: [{ field: "memused", label: "Memory" }] },
    NETWORK,
    { title: "Swap", unit: "bytes", top: "swaptotal", lines: [{ field: "swapused", label: "Swap" }] },
    {
      title: "Data partition",
      unit: "bytes",
      top: "roottotal",
      lines: [{ field: "rootused", label: "Data partition" }],
    },
  ],
  guest: [
    CPU,
    { title: "Memory", unit: "bytes", top: "maxmem", lines: [{ field: "mem", label: "Memory" }] },
    NETWORK,
    {
      title: "Disk",
      unit: "rate",
      lines: [
        { field: "diskread", label: "Read" },
        { field: "diskwrite", label: "Write" },
      ],
    },
  ],
  storage: [{ title: "Space", unit: "bytes", top: "total", lines: [{ field: "used", label: "Used" }] }],
};

/** The newest value of a field. */
export function newest(data: RrdData, field: string): number | undefined {
  return data.fields[field]?.findLast((value) => value !== null) ?? undefined;
}

/** The graphs for which there is anything to draw: none of the swap space of a node that has none. */
export function drawable(kind: RrdSource["kind"], data: RrdData): Chart[] {
  return CHARTS[kind]
    .map((chart) => ({
      ...chart,
      lines: chart.lines.filter(({ field }) => data.fields[field] !== undefined),
    }))
    .filter((chart) => chart.lines.length > 0)
    .filter((chart) => chart.top === undefined || newest(data, chart.top) !== 0);
}
