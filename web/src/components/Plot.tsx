/** The canvas of a graph, drawn by uPlot. A chunk of its own; use it through `Graph`. */
import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { axisTime } from "../model/format";
import { useDark } from "../shell/theme";
import type { GraphProps } from "./Graph";

const HEIGHT = 140;
/** A graph that has just begun still shows this many seconds, so that it grows from the right. */
const SPAN_SECONDS = 5 * 60;

const POWERS_OF_TWO = Array.from({ length: 60 }, (_, i) => 2 ** i);

function colours(dark: boolean) {
  return dark
    ? { lines: ["#6fc7c2", "#e0a96d"], fill: "#6fc7c222", grid: "#ffffff14", text: "#a8b3b5" }
    : { lines: ["#147878", "#b5651d"], fill: "#1478781a", grid: "#00000012", text: "#5c6b6e" };
}

function options(width: number, dark: boolean, props: GraphProps): uPlot.Options {
  const c = colours(dark);
  const span = props.span ?? SPAN_SECONDS;
  const font = '12px "Red Hat Text", sans-serif';
  const axis = { stroke: c.text, font, grid: { stroke: c.grid, width: 1 }, ticks: { show: false } };
  return {
    width,
    height: HEIGHT,
    padding: [8, 4, 0, 0],
    legend: { show: false },
    cursor: { show: false },
    scales: {
      x: {
        time: true,
        range: (_plot, min, max) => [Math.min(min ?? 0, (max ?? 0) - span), max ?? 0],
      },
      y: { range: (_plot, _min, max) => [0, props.max ?? Math.max((max ?? 0) * 1.15, 1)] },
    },
    axes: [
      { ...axis, space: 80, size: 28, values: (_p, splits) => splits.map((time) => axisTime(time, span)) },
      {
        ...axis,
        size: 72,
        space: 36,
        ...(props.binary ? { incrs: POWERS_OF_TWO } : {}),
        values: (_plot, splits) => splits.map((value) => (value === null ? "" : props.format(value))),
      },
    ],
    series: [
      {},
      ...props.lines.map((line, i) => ({
        label: line.label,
        stroke: c.lines[i % c.lines.length]!,
        width: 1.75,
        points: { show: false },
        ...(i === 0 ? { fill: c.fill } : {}),
      })),
    ],
  };
}

export default function Plot(props: GraphProps) {
  const dark = useDark();
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const latest = useRef(props);
  const shape = `${props.lines.map((line) => line.label).join()}|${props.max}|${props.span}`;

  useEffect(() => {
    latest.current = props;
    plot.current?.setData([props.times, ...props.lines.map((line) => line.values)]);
  }, [props]);

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const { times, lines } = latest.current;
    const data: uPlot.AlignedData = [times, ...lines.map((line) => line.values)];
    const made = new uPlot(options(element.clientWidth, dark, latest.current), data, element);
    plot.current = made;
    const observer = new ResizeObserver(() => {
      if (element.clientWidth !== made.width) made.setSize({ width: element.clientWidth, height: HEIGHT });
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = undefined;
    };
  }, [dark, shape]);

  return <div ref={box} className="plot" style={{ minHeight: HEIGHT }} />;
}
