/** How long certificates are still good for. */
import { duration } from "./format";

const DAY = 86400;
const YEAR = 365.25 * DAY;
/** Seconds before its end from which on a certificate wants attention. */
const SOON = 21 * DAY;
/** From so many days, and so many years, on nobody counts anything smaller. */
const MANY = 3;

export interface Life {
  text: string;
  status: "success" | "warning" | "danger";
}

/** What is left of a certificate that ends at a time (Unix seconds). */
export function lifeOf(end: number, now = Date.now() / 1000): Life {
  const left = end - now;
  if (left <= 0) return { text: "no longer valid", status: "danger" };
  return { text: `${roughly(left)} left`, status: left < SOON ? "warning" : "success" };
}

function roughly(seconds: number): string {
  if (seconds >= MANY * YEAR) return `${Math.floor(seconds / YEAR)} years`;
  if (seconds >= MANY * DAY) return `${Math.floor(seconds / DAY)} days`;
  return duration(seconds);
}

/** The file of a certificate that was brought, beside which a node keeps its own. */
const BROUGHT = "pveproxy-ssl.pem";

/** Whether a certificate was brought. */
export function isBrought(certificate: { filename: string }): boolean {
  return certificate.filename === BROUGHT;
}

/** Complaint about text that should hold blocks of PEM (RFC 7468) of a kind. */
export function checkPem(text: string, kind: "certificate" | "key"): string | undefined {
  const label = kind === "certificate" ? "CERTIFICATE" : "PRIVATE KEY";
  const whole = text.includes(`-----BEGIN ${label}-----`) && text.includes(`-----END ${label}-----`);
  if (whole) return undefined;
  if (kind === "key" && /-----BEGIN (RSA|EC|ENCRYPTED) /.test(text))
    return "This key is in another form: convert it with openssl pkcs8 -topk8 -nocrypt.";
  return `It has to begin with -----BEGIN ${label}-----.`;
}
