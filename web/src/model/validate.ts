/** Checks of single fields, worded for the person typing. Each returns a complaint or undefined. */

export type Check = string | undefined;

/** A DNS name: letters, digits and hyphens in labels joined by dots. */
export function checkHostname(value: string, what = "name"): Check {
  if (value === "") return `Enter a ${what}.`;
  if (value.length > 253) return `The ${what} is longer than 253 characters.`;
  const bad = value.split(".").find((label) => !/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i.test(label));
  if (bad === undefined) return undefined;
  if (bad === "") return `The ${what} has an empty part between its dots.`;
  return "Use letters, digits and hyphens; begin and end with a letter or digit.";
}

/** A guest's number, not taken by another guest. */
export function checkVmid(value: string, taken: readonly number[]): Check {
  const id = Number(value);
  if (!/^\d+$/.test(value) || id < 100 || id > 999_999_999)
    return "Enter a number between 100 and 999999999.";
  return taken.includes(id) ? `${id} is already in use.` : undefined;
}

/** A whole number within bounds. */
export function checkInteger(value: string, min: number, max: number, unit = ""): Check {
  const n = Number(value);
  const suffix = unit ? ` ${unit}` : "";
  if (!/^\d+$/.test(value) || n < min || n > max)
    return `Enter a whole number from ${min} to ${max}${suffix}.`;
  return undefined;
}

/** A password, typed twice. */
export function checkPassword(password: string, repeated: string, shortest = 5): Check {
  if (password.length < shortest) return `Use at least ${shortest} characters.`;
  return password === repeated ? undefined : "The two passwords differ.";
}

const KEY_TYPES = /^(ssh-(rsa|ed25519|dss)|ecdsa-sha2-\S+|sk-(ssh|ecdsa)-\S+)\s+[A-Za-z0-9+/]+={0,3}(\s.*)?$/;

/** OpenSSH public keys, one a line. */
export function checkSshKeys(text: string): Check {
  const lines = text.split("\n").map((line) => line.trim());
  const bad = lines.findIndex((line) => line !== "" && !line.startsWith("#") && !KEY_TYPES.test(line));
  return bad < 0 ? undefined : `Line ${bad + 1} is no OpenSSH public key.`;
}

function isIpv4(text: string): boolean {
  const parts = text.split(".");
  return parts.length === 4 && parts.every((p) => /^\d{1,3}$/.test(p) && Number(p) <= 255);
}

/** An IPv4 address with prefix length: `192.0.2.10/24`. */
export function checkCidr(value: string): Check {
  const [address = "", prefix = "", ...more] = value.split("/");
  const ok = isIpv4(address) && /^\d{1,2}$/.test(prefix) && Number(prefix) <= 32 && more.length === 0;
  return ok ? undefined : "Enter an address with prefix length, such as 192.0.2.10/24.";
}

/** An IPv4 address; empty is allowed. */
export function checkGateway(value: string): Check {
  return value === "" || isIpv4(value) ? undefined : "Enter an IPv4 address, such as 192.0.2.1.";
}

/** A MAC address of a single card; empty lets the server choose. */
export function checkMac(value: string): Check {
  if (value === "") return undefined;
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(value))
    return "Enter six bytes in hex, such as 52:54:00:12:34:56.";
  return parseInt(value.slice(0, 2), 16) & 1
    ? "This is a multicast address; the first byte must be even."
    : undefined;
}
