/** Graphs of recorded samples, over an hour up to a year. */
import { Skeleton, ToggleGroup, ToggleGroupItem } from "@patternfly/react-core";
import { useQuery } from "@tanstack/react-query";
import { useState, type ReactNode } from "react";
import { ApiError } from "../api/error";
import { queries } from "../api/queries";
import { bytes, percent, rate } from "../model/format";
import {
  drawable,
  newest,
  SPANS,
  TIMEFRAMES,
  type Chart,
  type RrdData,
  type RrdSource,
  type Timeframe,
} from "../model/rrd";
import { ErrorNote } from "./ErrorNote";
import { Graph } from "./Graph";

const NAMES: Record<Timeframe | "live", string> = {
  live: "Live",
  hour: "Hour",
  day: "Day",
  week: "Week",
  month: "Month",
  year: "Year",
};

interface HistoryProps {
  of: RrdSource;
  /** What is shown for the present moment; without it, the last hour comes first. */
  live?: ReactNode;
}

/** Graphs with a choice of how far they go back. */
export function Graphs({ of, live }: HistoryProps) {
  const frames: readonly (Timeframe | "live")[] = live ? ["live", ...TIMEFRAMES] : TIMEFRAMES;
  const [picked, setPicked] = useState<Timeframe | "live">(live ? "live" : "hour");
  const frame = frames.includes(picked) ? picked : "hour";
  return (
    <div className="stack-tight">
      <ToggleGroup aria-label="Time shown by the graphs" isCompact className="timeframes">
        {frames.map((key) => (
          <ToggleGroupItem
            key={key}
            buttonId={`timeframe-${key}`}
            text={NAMES[key]}
            isSelected={frame === key}
            onChange={() => setPicked(key)}
          />
        ))}
      </ToggleGroup>
      {frame === "live" ? live : <Recorded of={of} timeframe={frame} />}
    </div>
  );
}

function Recorded({ of, timeframe }: { of: RrdSource; timeframe: Timeframe }) {
  const { data, error, refetch } = useQuery(queries.rrd(of, timeframe));
  if (!data && error) {
    // A server without the method is an older one; that is no fault to report.
    if (error instanceof ApiError && error.status === 501)
      return <p className="quiet">This server records no samples.</p>;
    return <ErrorNote title="The samples cannot be read" error={error} onRetry={() => void refetch()} />;
  }
  if (!data)
    return (
      <div className="graphs">
        <Skeleton height="190px" screenreaderText="Loading the samples" />
        <Skeleton height="190px" />
      </div>
    );
  const charts = drawable(of.kind, data);
  if (charts.length === 0) return <p className="quiet">Nothing was recorded in this time.</p>;
  return (
    <div className="graphs">
      {charts.map((chart) => (
        <RecordedGraph key={chart.title} chart={chart} data={data} timeframe={timeframe} />
      ))}
    </div>
  );
}

const FORMATS: Record<Chart["unit"], (value: number) => string> = {
  share: percent,
  bytes,
  rate,
  number: (value) => value.toFixed(2),
};

interface RecordedGraphProps {
  chart: Chart;
  data: RrdData;
  timeframe: Timeframe;
}

function RecordedGraph({ chart, data, timeframe }: RecordedGraphProps) {
  const top = chart.top === undefined ? undefined : newest(data, chart.top);
  const max = chart.unit === "share" ? 1 : top;
  return (
    <Graph
      title={chart.title}
      times={data.times}
      lines={chart.lines.map(({ field, label }) => ({ label, values: data.fields[field] ?? [] }))}
      format={FORMATS[chart.unit]}
      span={SPANS[timeframe]}
      binary={chart.unit === "bytes" || chart.unit === "rate"}
      max={max || undefined}
      detail={top ? `of ${bytes(top)}` : undefined}
    />
  );
}
