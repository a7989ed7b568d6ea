/** The graphs that nodes and guests share: processor, memory, network, disk. */
import { counterRate, gauge } from "../model/history";
import { bytes, percent, rate } from "../model/format";
import { Graph } from "./Graph";
import { useHistory } from "./useHistory";

interface LoadGraphsProps {
  source: string;
  cpus?: number | undefined;
  memory?: number | undefined;
}

export function LoadGraphs({ source, cpus, memory }: LoadGraphsProps) {
  const samples = useHistory(source);
  const times = samples.map((s) => s.time);
  const last = samples.at(-1)?.values ?? {};
  const has = (...names: string[]) => names.some((name) => last[name] !== undefined);
  return (
    <div className="graphs">
      <Graph
        title="CPU"
        times={times}
        lines={[{ label: "CPU", values: gauge(samples, "cpu") }]}
        format={percent}
        max={1}
        detail={cpus ? `of ${cpus} ${cpus === 1 ? "core" : "cores"}` : undefined}
      />
      <Graph
        title="Memory"
        times={times}
        lines={[{ label: "Memory", values: gauge(samples, "mem") }]}
        format={bytes}
        binary
        max={memory}
        detail={memory ? `of ${bytes(memory)}` : undefined}
      />
      {has("netin", "netout") && (
        <Graph
          title="Network"
          times={times}
          lines={[
            { label: "In", values: counterRate(samples, "netin") },
            { label: "Out", values: counterRate(samples, "netout") },
          ]}
          format={rate}
          binary
        />
      )}
      {has("diskread", "diskwrite") && (
        <Graph
          title="Disk"
          times={times}
          lines={[
            { label: "Read", values: counterRate(samples, "diskread") },
            { label: "Write", values: counterRate(samples, "diskwrite") },
          ]}
          format={rate}
          binary
        />
      )}
    </div>
  );
}
