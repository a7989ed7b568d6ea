/** What a guest agent says. The guest is its author, so nothing of its shape is taken for granted. */

export interface GuestInterface {
  name: string;
  mac?: string;
  addresses: string[];
}

function record(value: unknown): Record<string, unknown> {
  return value && typeof value === "object" ? (value as Record<string, unknown>) : {};
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : [];
}

/** Longest name or address that is shown. */
const LONGEST = 64;

function word(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value.slice(0, LONGEST) : undefined;
}

/** Reads the answer of `network-get-interfaces`; interfaces that only talk to the guest itself are left out. */
export function readInterfaces(result: unknown): GuestInterface[] {
  return list(result).flatMap((entry) => {
    const { name, "hardware-address": mac, "ip-addresses": addresses } = record(entry);
    const title = word(name);
    if (title === undefined || title === "lo" || title.startsWith("Loopback ")) return [];
    const found = list(addresses).flatMap((address) => {
      const { "ip-address": text, prefix } = record(address);
      const shown = word(text);
      if (shown === undefined) return [];
      return [typeof prefix === "number" ? `${shown}/${prefix}` : shown];
    });
    const hardware = word(mac);
    return [{ name: title, addresses: found, ...(hardware === undefined ? {} : { mac: hardware }) }];
  });
}
