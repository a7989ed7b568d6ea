/** Settings that forms edit: where each lies in a configuration, and the call that saves what was changed. */
import { parseProps, printProps } from "./propstring";
import type { Check } from "./validate";

/** What is configured, as the API shows it. */
export type Config = Readonly<Record<string, string | number | undefined>>;

export interface Choice {
  value: string;
  label: string;
}

interface Common {
  /** Name of the setting in the API; for a part, `KEY.NAME`. */
  key: string;
  label: string;
  hint?: string;
  /** Value the server assumes when the setting is absent. */
  fallback: string;
  required?: boolean;
  check?: (value: string) => Check;
  /** Which property of which property string this is, if it is one; `front` for the one that may stand bare. */
  part?: { of: string; name: string; front?: boolean };
  /** How the value is written for people, and back, where the API writes it otherwise. */
  code?: { read: (wire: string) => string; write: (shown: string) => string };
}

/** A setting, by how it is edited. */
export type Setting = Common &
  (
    | { kind: "text" | "number" | "flag" | "lines" | "volume" }
    /** A day, written 2030-12-31. */
    | { kind: "date" }
    /** Never shown; left alone when nothing is typed. */
    | { kind: "secret" }
    /** One of a few. */
    | { kind: "choice"; options: readonly Choice[] }
    /** Any of a few, joined by `separator`; `none` when there is none of them. */
    | { kind: "several"; options: readonly Choice[]; separator: string; none: string }
    /** A model of the node's processors. */
    | { kind: "cpu" }
  );

function wireValue(config: Config, setting: Setting): string | undefined {
  const { part } = setting;
  const raw = config[part ? part.of : setting.key];
  if (raw === undefined) return undefined;
  const text = String(raw);
  if (!part) return text;
  const { value, props } = parseProps(text);
  return props[part.name] ?? (part.front ? value : undefined);
}

/** A setting's present value as the form shows it. */
export function shownValue(config: Config, setting: Setting): string {
  if (setting.kind === "secret") return "";
  const value = wireValue(config, setting);
  if (value === undefined) return setting.fallback;
  if (setting.kind === "flag") return value === "1" ? "1" : "0";
  const text = value.replace(/\n$/, "");
  return setting.code ? setting.code.read(text) : text;
}

/** The chosen ones of a setting that takes several. */
export function chosen(setting: Setting & { kind: "several" }, value: string): string[] {
  return value === setting.none ? [] : value.split(setting.separator).filter((word) => word !== "");
}

/** `chosen`, the other way around; in the order of the options, unknown ones last. */
export function choose(setting: Setting & { kind: "several" }, words: readonly string[]): string {
  const known = setting.options.map((option) => option.value).filter((word) => words.includes(word));
  const others = words.filter((word) => !known.includes(word));
  return [...known, ...others].join(setting.separator) || setting.none;
}

/** What is wrong with the edits, by the settings' keys. */
export function complaints(
  config: Config,
  settings: readonly Setting[],
  edits: Readonly<Record<string, string>>,
): Record<string, string> {
  const wrong: Record<string, string> = {};
  for (const setting of settings) {
    const value = edits[setting.key] ?? shownValue(config, setting);
    const missing = setting.required && value.trim() === "" ? `Enter this: ${setting.label}.` : undefined;
    const edited = edits[setting.key] !== undefined && value !== "";
    const text = missing ?? (edited || setting.required ? setting.check?.(value) : undefined);
    if (text !== undefined) wrong[setting.key] = text;
  }
  return wrong;
}

function wire(setting: Setting, shown: string): string {
  return setting.code && shown !== "" ? setting.code.write(shown) : shown;
}

/** A property string with some properties changed; empty when all are as the server assumes. */
function merged(before: string, changes: readonly { setting: Setting; value: string }[]): string {
  const { value, props } = parseProps(before);
  let front = value;
  const rest: Record<string, string | undefined> = { ...props };
  let frontSetting: Setting | undefined;
  for (const { setting, value: shown } of changes) {
    const part = setting.part!;
    const written = shown === setting.fallback ? undefined : wire(setting, shown);
    if (!part.front) {
      rest[part.name] = written;
      continue;
    }
    frontSetting = setting;
    delete rest[part.name];
    front = written;
  }
  const others = printProps(undefined, rest);
  // What follows a front value does not stand alone.
  if (others !== "" && front === undefined && frontSetting) front = frontSetting.fallback;
  return [front, others].filter((part) => part).join(",");
}

/**
 * Parameters that turn `config` into what was edited: only what differs, with the digest it was read at. What was
 * emptied is named in `delete`.
 */
export function changeParams(
  config: Config,
  settings: readonly Setting[],
  edits: Readonly<Record<string, string>>,
): Record<string, string> {
  const params: Record<string, string> = {};
  const removed: string[] = [];
  const parts = new Map<string, { setting: Setting; value: string }[]>();
  for (const setting of settings) {
    const value = edits[setting.key];
    if (value === undefined || value === shownValue(config, setting)) continue;
    if (setting.part) {
      const { of } = setting.part;
      parts.set(of, [...(parts.get(of) ?? []), { setting, value }]);
    } else if (value === "") removed.push(setting.key);
    else params[setting.key] = wire(setting, value);
  }
  for (const [key, changes] of parts) {
    const before = String(config[key] ?? "");
    const after = merged(before, changes);
    if (after === before) continue;
    if (after === "") removed.push(key);
    else params[key] = after;
  }
  if (removed.length > 0) params["delete"] = removed.join(",");
  if (Object.keys(params).length > 0 && config["digest"] !== undefined)
    params["digest"] = String(config["digest"]);
  return params;
}

/** The server's complaint that belongs to a setting. */
export function refusalOf(refused: Readonly<Record<string, string>>, setting: Setting): string | undefined {
  return refused[setting.part ? setting.part.of : setting.key];
}
