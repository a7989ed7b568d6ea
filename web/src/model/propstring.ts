/** Property strings, the compact form of device settings: `virtio=52:54:…,bridge=vmbr0`. */

export interface PropString {
  /** The bare value in front, for instance a volume. */
  value?: string;
  props: Record<string, string>;
}

/** Splits a property string into its bare value and its pairs. */
export function parseProps(text: string): PropString {
  const out: PropString = { props: {} };
  for (const part of text.split(",")) {
    const at = part.indexOf("=");
    if (at < 0) out.value ??= part;
    else out.props[part.slice(0, at)] = part.slice(at + 1);
  }
  return out;
}

/** Joins a bare value and pairs; pairs without a value are left out. */
export function printProps(value: string | undefined, props: Record<string, string | undefined>): string {
  const pairs = Object.entries(props)
    .filter(([, v]) => v !== undefined && v !== "")
    .map(([k, v]) => `${k}=${v}`);
  return [...(value === undefined ? [] : [value]), ...pairs].join(",");
}
