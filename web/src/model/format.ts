/** Numbers and times in words. */

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** Bytes with a binary unit: `1.5 GiB`. */
export function bytes(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return "–";
  let amount = Math.abs(value);
  let unit = 0;
  while (amount >= 1024 && unit < UNITS.length - 1) {
    amount /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || amount >= 100 ? 0 : amount >= 10 ? 1 : 2;
  return `${value < 0 ? "−" : ""}${trimZeros(amount.toFixed(digits))} ${UNITS[unit]}`;
}

function trimZeros(text: string): string {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/** A rate: `12 KiB/s`. */
export function rate(value: number | undefined): string {
  return value === undefined ? "–" : `${bytes(value)}/s`;
}

/** A share of one: `12.5 %`. */
export function percent(fraction: number | undefined): string {
  if (fraction === undefined || !Number.isFinite(fraction)) return "–";
  const value = fraction * 100;
  return `${value < 10 ? trimZeros(value.toFixed(1)) : Math.round(value)} %`;
}

/** Used of total as a fraction, when that means something. */
export function share(used: number | undefined, total: number | undefined): number | undefined {
  return used === undefined || !total ? undefined : used / total;
}

/** Seconds as the two largest units: `3 d 4 h`. */
export function duration(seconds: number | undefined): string {
  if (seconds === undefined || seconds < 0) return "–";
  const s = Math.floor(seconds);
  const units: [number, string][] = [
    [Math.floor(s / 86400), "d"],
    [Math.floor(s / 3600) % 24, "h"],
    [Math.floor(s / 60) % 60, "min"],
    [s % 60, "s"],
  ];
  const first = units.findIndex(([n]) => n > 0);
  if (first < 0) return "0 s";
  return units
    .slice(first, first + 2)
    .filter(([n]) => n > 0)
    .map(([n, unit]) => `${n} ${unit}`)
    .join(" ");
}

/** Clocks count to 24, below graphs as in lists. */
const hourCycle = "h23";
const sameDay = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle,
});
const anyDay = new Intl.DateTimeFormat(undefined, {
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  hourCycle,
});

/** A point in time (Unix seconds): the clock for today, else with the date. */
export function moment(seconds: number | undefined, now = Date.now()): string {
  if (!seconds) return "–";
  const date = new Date(seconds * 1000);
  const today = new Date(now).toDateString() === date.toDateString();
  return (today ? sameDay : anyDay).format(date);
}

const dayOnly = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
const dayAndHour = new Intl.DateTimeFormat(undefined, {
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  hourCycle,
});
const HOURS_SHOWN = 26 * 3600;
const DAYS_SHOWN = 9 * 86400;

/** A time (Unix seconds) below a graph that spans `span` seconds: the clock, the day with it, or the day alone. */
export function axisTime(seconds: number, span: number): string {
  const date = new Date(seconds * 1000);
  if (span > DAYS_SHOWN) return dayOnly.format(date);
  if (span > HOURS_SHOWN) return dayAndHour.format(date);
  const pad = (n: number) => String(n).padStart(2, "0");
  const tail = date.getSeconds() ? `:${pad(date.getSeconds())}` : "";
  return `${pad(date.getHours())}:${pad(date.getMinutes())}${tail}`;
}

const dayOfYear = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

/** The day of a point in time (Unix seconds), with its year. */
export function calendarDay(seconds: number): string {
  return dayOfYear.format(new Date(seconds * 1000));
}

const anywhere = new Intl.DateTimeFormat(undefined, {
  dateStyle: "medium",
  timeStyle: "medium",
  hourCycle,
  timeZone: "UTC",
});

/** Date and time that a clock shows, given as if it showed universal time (Unix seconds). */
export function wallClock(seconds: number): string {
  return anywhere.format(new Date(seconds * 1000));
}
