/** Second factors: what they are called, and the secret of a code generator. */
import type { Factor, FactorType } from "../api/schema";

export const FACTOR_NAMES: Record<FactorType, string> = {
  totp: "Code generator",
  recovery: "Recovery codes",
  webauthn: "Security key",
};

/** What to call a factor: the user's own words, else its kind. */
export function factorName(factor: Pick<Factor, "type" | "description">): string {
  return factor.description || FACTOR_NAMES[factor.type];
}

/** Letters of base32 (RFC 4648, section 6). */
const BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/** Bytes of a secret: what RFC 4226, section 4, recommends. 20 bytes need no padding. */
const SECRET_BYTES = 20;

/** Base32 without padding. */
export function base32(bytes: Uint8Array): string {
  let out = "";
  let bits = 0;
  let value = 0;
  for (const byte of bytes) {
    value = (value << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      out += BASE32[(value >>> bits) & 31];
    }
    value &= (1 << bits) - 1;
  }
  return bits > 0 ? out + BASE32[(value << (5 - bits)) & 31] : out;
}

/** A new secret for a code generator, in base32. */
export function newSecret(): string {
  return base32(crypto.getRandomValues(new Uint8Array(SECRET_BYTES)));
}

export interface Generator {
  secret: string;
  digits: number;
  /** Seconds for which a code is good. */
  period: number;
}

/** The address that a code generator reads from a QR code. */
export function otpauth(userid: string, { secret, digits, period }: Generator): string {
  const query = new URLSearchParams({
    secret,
    issuer: "Basalt",
    algorithm: "SHA1",
    digits: String(digits),
    period: String(period),
  });
  return `otpauth://totp/Basalt:${encodeURIComponent(userid)}?${query.toString()}`;
}

/** A secret in groups of four, for people who type it. */
export function grouped(secret: string): string {
  return secret.replace(/(.{4})(?=.)/g, "$1 ");
}
