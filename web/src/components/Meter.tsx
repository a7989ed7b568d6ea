import { percent } from "../model/format";

interface MeterProps {
  /** Share of one; undefined shows an empty bar. */
  fraction: number | undefined;
  label: string;
  /** Whether it says what is left: then little is bad, not much. */
  isRest?: boolean;
  /** Text beside the bar; the percentage by default. */
  text?: string;
}

/** A thin bar that says how full something is. */
export function Meter({ fraction, label, isRest, text }: MeterProps) {
  const value = fraction === undefined || !Number.isFinite(fraction) ? 0 : Math.min(Math.max(fraction, 0), 1);
  const spent = isRest ? 1 - value : value;
  const tone = spent >= 0.95 ? "high" : spent >= 0.8 ? "raised" : "normal";
  return (
    <span className="meter">
      <span
        className="meter-track"
        role="meter"
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.round(value * 100)}
      >
        <span className={`meter-fill meter-${tone}`} style={{ width: `${value * 100}%` }} />
      </span>
      <span className="meter-text">{text ?? percent(fraction)}</span>
    </span>
  );
}
