/** A live line graph with the present value in its head. The drawing library is loaded on first use. */
import { Skeleton } from "@patternfly/react-core";
import { lazy, Suspense, type ReactNode } from "react";

const Plot = lazy(() => import("./Plot"));

export interface Line {
  label: string;
  /** One value per time; null where there is none. */
  values: (number | null)[];
}

export interface GraphProps {
  title: string;
  /** Unix times in seconds. */
  times: number[];
  lines: Line[];
  format: (value: number) => string;
  /** Top of the scale; grows with the values when absent. */
  max?: number | undefined;
  /** Seconds that are shown at least, even when the samples span less: five minutes when absent. */
  span?: number;
  /** True for bytes: the scale steps in powers of two. */
  binary?: boolean;
  /** Text beside the title, such as the total. */
  detail?: ReactNode;
}

/** The value in the head. The newest recorded sample may still be under way, then the one before it counts. */
function latest(line: Line, recorded: boolean): number | null {
  return (recorded ? line.values.findLast((value) => value !== null) : line.values.at(-1)) ?? null;
}

export function Graph(props: GraphProps) {
  const { title, lines, format, detail, span } = props;
  const now = lines.map((line) => ({ label: line.label, value: latest(line, span !== undefined) }));
  const spoken = now.map(({ label, value }) => `${label} ${value === null ? "unknown" : format(value)}`);
  return (
    <section className="graph" aria-label={title}>
      <header className="graph-head">
        <h2>{title}</h2>
        <div className="graph-now">
          {now.map(({ label, value }, i) => (
            <span key={label} className="graph-value">
              {now.length > 1 && <span className={`graph-key graph-key-${i}`} aria-hidden="true" />}
              {now.length > 1 && <span className="graph-label">{label}</span>}
              <strong>{value === null ? "–" : format(value)}</strong>
            </span>
          ))}
          {detail && <span className="graph-detail">{detail}</span>}
        </div>
      </header>
      <div role="img" aria-label={`${title}: ${spoken.join(", ")}`}>
        <Suspense fallback={<Skeleton height="140px" screenreaderText={`Loading the graph ${title}`} />}>
          <Plot {...props} />
        </Suspense>
      </div>
    </section>
  );
}
