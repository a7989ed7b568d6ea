/**
 * Logins at an OpenID Connect provider: the browser goes there, and comes back with a code.
 *
 * The state of the login that this browser began stays in its session storage. A link that brings somebody else's code
 * must not log anybody in.
 */
import { api } from "./client";

const PENDING = "basalt-openid-state";

/** Where the provider sends the browser back to; the provider must know it. */
export function returnAddress(): string {
  return `${window.location.origin}/`;
}

/** Asks where to log in, and notes the login. */
export async function beginOpenId(realm: string): Promise<string> {
  const address = await api.post("/access/openid/auth-url", { realm, "redirect-url": returnAddress() });
  sessionStorage.setItem(PENDING, new URL(address).searchParams.get("state") ?? "");
  return address;
}

/** A code and its state, or why there is none. */
export type Return = { code: string; state: string } | { problem: string };

/** Takes what a provider sent along out of the page's address, if it did. */
export function takeReturn(): Return | undefined {
  const query = new URLSearchParams(window.location.search);
  const [state, code, error] = ["state", "code", "error"].map((name) => query.get(name));
  if (!state || !(code || error)) return undefined;
  window.history.replaceState(null, "", window.location.pathname);
  const pending = sessionStorage.getItem(PENDING);
  sessionStorage.removeItem(PENDING);
  if (pending !== state) return { problem: "This login was not begun here. Log in again." };
  if (code) return { code, state };
  return { problem: `The provider refused the login: ${query.get("error_description") ?? error}` };
}
